import { assertEquals, assertMatch } from "@std/assert";
import { COMPONENTS, entrypointOf, leftOut } from "./components.ts";
import { parseLdd } from "./shared_libraries.ts";

for (const component of COMPONENTS) {
  Deno.test(`${component.name}.Dockerfile starts what the archive starts, with the same permissions`, async () => {
    const text = await Deno.readTextFile(
      new URL(`./${component.name}.Dockerfile`, import.meta.url),
    );
    const entrypoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? "null");
    // The runtime is at another place in its own image.
    assertEquals(entrypoint, ["/bin/deno", ...entrypointOf(component).slice(1)]);
    assertMatch(text, /^USER 65532:65532$/m);
    const cached = [component.entry, ...component.later].join(" ");
    assertEquals(/^RUN deno cache --frozen (.*)$/m.exec(text)?.[1], cached);
  });
}

Deno.test("no component may start programs, call libraries, or do everything", () => {
  for (const { flags } of COMPONENTS) {
    for (const flag of flags) {
      assertEquals(/--allow-(all|run|ffi|import)|^-A$/.test(flag), false, flag);
      // A permission without names is one for everything: of networks alone it has to be.
      if (/^--allow-(read|write|env|sys)/.test(flag)) assertMatch(flag, /=./);
    }
  }
});

Deno.test("leftOut() keeps what runs and leaves tests and texts", () => {
  const kept = ["controller/main.ts", "shared/lib/log.ts", "controller/source/schema/crds/a.json"];
  const left = [
    "shared/lib/lib_test.ts",
    "shared/bus/testing.ts",
    "controller/testdata/a/input.yaml",
    "controller/cli/main.ts",
    "README.md",
  ];
  assertEquals([...kept, ...left].filter((path) => !leftOut(path)), kept);
});

Deno.test("parseLdd() takes paths, the linker's among them, and nothing virtual", () => {
  const text = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86/libc.so.6 (0x00007f)\n" +
    "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
  assertEquals(parseLdd(text), ["/lib/x86/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
  assertEquals(parseLdd("\tnot a dynamic executable\n"), []);
});
