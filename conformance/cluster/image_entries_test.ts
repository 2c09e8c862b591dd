import { assert, assertEquals } from "@std/assert";
import { folderEntries, programEntries, sharedLibraries } from "./image_entries.ts";

Deno.test("folderEntries() lists a folder sorted, parents first, with links and modes", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/b/skipped`, { recursive: true });
    await Deno.writeTextFile(`${folder}/b/run`, "#!/bin/sh\n", { mode: 0o700 });
    await Deno.writeTextFile(`${folder}/b/skipped/x`, "");
    await Deno.writeTextFile(`${folder}/a`, "", { mode: 0o600 });
    await Deno.symlink("a", `${folder}/c`);
    const entries = await folderEntries(folder, {
      at: "opt/app",
      include: (path) => path !== "b/skipped",
    });
    assertEquals(entries.map(({ kind, path, mode }) => `${kind} ${path} ${mode?.toString(8)}`), [
      "folder opt undefined",
      "folder opt/app undefined",
      "file opt/app/a 644",
      "folder opt/app/b undefined",
      "file opt/app/b/run 755",
      "link opt/app/c undefined",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("sharedLibraries() reads paths, not the kernel's own library", () => {
  const ldd = "\tlinux-vdso.so.1 (0x00007ffd)\n" +
    "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f01)\n" +
    "\t/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
  assertEquals(sharedLibraries(ldd), [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/ld-linux-x86-64.so.2",
  ]);
  assertEquals(sharedLibraries("\tnot a dynamic executable\n"), []);
});

Deno.test("programEntries() brings the loader and every folder once", async () => {
  const entries = await programEntries(Deno.execPath(), { at: "usr/bin/deno" });
  const paths = entries.map(({ path }) => path);
  assertEquals(new Set(paths).size, paths.length);
  assert(paths.indexOf("usr") < paths.indexOf("usr/bin"));
  assert(paths.some((path) => /ld-linux|ld-musl/.test(path)));
});
