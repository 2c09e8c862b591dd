import { assertEquals } from "@std/assert";
import { latchKey, ProgrammedLatch } from "./programmed.ts";

const scope = "gateway/ns/gw";
const at = (version: number) => new Map([[scope, version]]);

Deno.test("ProgrammedLatch waits until every ready proxy acknowledged the version", () => {
  const latch = new ProgrammedLatch();
  assertEquals(latch.programmed(scope, 1), undefined);
  latch.published(scope, 1, 5);
  assertEquals(latch.update([at(5), at(4)], 0), false);
  assertEquals(latch.programmed(scope, 1), false);
  assertEquals(latch.update([at(5), at(6)], 0), true);
  assertEquals(latch.programmed(scope, 1), true);
});

Deno.test("ProgrammedLatch is latched per generation", () => {
  const latch = new ProgrammedLatch();
  latch.published(scope, 1, 5);
  latch.update([at(5)], 0);
  latch.update([at(5), new Map()], 0);
  latch.published(scope, 1, 9);
  assertEquals(latch.programmed(scope, 1), true);
  latch.published(scope, 2, 6);
  assertEquals(latch.programmed(scope, 2), false);
  assertEquals(latch.programmed(scope, 1), undefined);
});

Deno.test("ProgrammedLatch turns false only after 30 s without a ready proxy", () => {
  const latch = new ProgrammedLatch();
  latch.published(scope, 1, 5);
  latch.update([at(5)], 0);
  assertEquals(latch.update([], 1_000), false);
  assertEquals(latch.update([], 30_999), false);
  assertEquals(latch.update([], 31_000), true);
  assertEquals(latch.programmed(scope, 1), false);
  assertEquals(latch.update([at(5)], 32_000), true);
});

Deno.test("ProgrammedLatch.due tells when the grace ends though no proxy says anything", () => {
  const latch = new ProgrammedLatch();
  latch.published(scope, 1, 5);
  latch.update([at(5)], 0);
  assertEquals(latch.due, undefined);
  latch.update([], 1_000);
  assertEquals(latch.due, 31_000);
  latch.update([], 31_000);
  assertEquals(latch.due, undefined);
});

Deno.test("ProgrammedLatch judges a ListenerSet by its own generation, and forgets it alone", () => {
  const latch = new ProgrammedLatch();
  const [scope, set] = ["gateway/ns/gw", "ListenerSet/ns/set"];
  latch.published(scope, 1, 3);
  latch.published(scope, 7, 4, set);
  latch.update([new Map([[scope, 3]])], 0);
  assertEquals([latch.programmed(scope, 1), latch.programmed(scope, 7, set)], [true, false]);
  latch.update([new Map([[scope, 4]])], 0);
  assertEquals([latch.programmed(scope, 1), latch.programmed(scope, 7, set)], [true, true]);
  assertEquals(latch.programmed(scope, 8, set), undefined);
  latch.retain(new Set([latchKey(scope)]));
  assertEquals([latch.programmed(scope, 1), latch.programmed(scope, 7, set)], [true, undefined]);
});
