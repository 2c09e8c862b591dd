import { assert, assertEquals } from "@std/assert";
import { programEntries, treeEntries } from "./layer_entries.ts";

Deno.test("treeEntries() lists the files of a folder sorted, parents first, each where it belongs", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/b/skipped`, { recursive: true });
    await Deno.writeTextFile(`${folder}/b/run`, "");
    await Deno.writeTextFile(`${folder}/b/skipped/x`, "");
    await Deno.writeTextFile(`${folder}/a`, "");
    const entries = await treeEntries(folder, {
      target: "opt/app",
      place: (path) => path.startsWith("b/skipped/") ? undefined : path.replace("run", "start"),
    });
    assertEquals(entries.map(({ kind, path }) => `${kind} ${path}`), [
      "folder opt",
      "folder opt/app",
      "folder opt/app/b",
      "file opt/app/a",
      "file opt/app/b/start",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("programEntries() brings the loader, the accounts and every file once", async () => {
  const entries = await programEntries(Deno.execPath(), ["usr/bin/deno", "state"]);
  const files = entries.flatMap(({ kind, path }) => kind === "file" ? [path] : []);
  assertEquals(new Set(files).size, files.length);
  assert(files.includes("usr/bin/deno") && files.includes("etc/passwd"));
  assert(files.some((path) => /ld-linux|ld-musl/.test(path)));
  const folders = entries.flatMap((entry) => entry.kind === "folder" ? [entry] : []);
  assert(folders.some(({ path }) => path === "state"));
  assertEquals(folders.find(({ path }) => path === "tmp")?.mode, 0o1777);
});
