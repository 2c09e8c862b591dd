import { assert, assertEquals } from "@std/assert";
import { Memory } from "./memory.ts";
import type { Remembered } from "./source/files/manifest_set.ts";

const entry = (generation: number): Remembered => ({ generation, created: 7, content: "hash" });

async function inFolder(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(`${folder}/controller.jsonl`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Memory.load() gives what was saved in any number of steps", async () => {
  await inFolder(async (path) => {
    const first = await Memory.load(path);
    assertEquals([first.known.size, first.lineage], [0, undefined]);
    await first.save({ objects: [["a", entry(1)], ["b", entry(1)]], lineage: undefined });
    await first.save({ objects: [["a", entry(2)]], lineage: "one" });
    await first.save({ objects: [["b", undefined]], lineage: "one" });
    const second = await Memory.load(path);
    assertEquals([...second.known], [["a", entry(2)]]);
    assertEquals(second.lineage, "one");
  });
});

Deno.test("Memory.save() appends what is new and forgets what this run never told", async () => {
  await inFolder(async (path) => {
    const first = await Memory.load(path);
    await first.save({ objects: [["a", entry(1)], ["old", entry(1)]], lineage: "one" });
    const second = await Memory.load(path);
    await second.save({ objects: [["a", entry(1)]], lineage: undefined });
    const { size } = await Deno.stat(path);
    await second.save({ objects: [["a", entry(2)]], lineage: undefined });
    assert((await Deno.stat(path)).size < 2 * size, "a line was appended");
    await second.save({ objects: [], lineage: undefined });
    const third = await Memory.load(path);
    assertEquals([...third.known], [["a", entry(2)]]);
    assertEquals(third.lineage, "one");
  });
});

Deno.test("Memory.save() keeps the journal within bounds", async () => {
  await inFolder(async (path) => {
    const memory = await Memory.load(path);
    for (let i = 1; i <= 3000; i++) {
      await memory.save({ objects: [["a", entry(i)]], lineage: undefined });
    }
    assert((await Deno.readTextFile(path)).split("\n").length < 1100);
    assertEquals((await Memory.load(path)).known.get("a")?.generation, 3000);
  });
});

Deno.test("Memory.load() takes what stands before a torn line, and save() mends the file", async () => {
  await inFolder(async (path) => {
    const first = await Memory.load(path);
    await first.save({ objects: [["a", entry(1)], ["b", entry(1)]], lineage: undefined });
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.slice(0, -10));
    const second = await Memory.load(path);
    assertEquals([...second.known.keys()], ["a"]);
    await second.save({ objects: [["a", entry(1)], ["c", entry(1)]], lineage: undefined });
    assertEquals([...(await Memory.load(path)).known.keys()], ["a", "c"]);
  });
});
