import { assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { applyDelta, diffResources } from "./delta.ts";
import { DigestTree, snapshotDigest } from "./digest.ts";
import { ResourceMap } from "./resource_map.ts";
import { cluster, resourcesArbitrary } from "./testing.ts";

Deno.test("snapshotDigest() does not depend on the order of insertion", () => {
  fc.assert(fc.property(resourcesArbitrary, (resources) => {
    assertEquals(snapshotDigest([...resources].reverse()), snapshotDigest(resources));
  }));
});

Deno.test("DigestTree.with() gives the digest of the whole, for any change", () => {
  fc.assert(fc.property(resourcesArbitrary, resourcesArbitrary, (before, after) => {
    const delta = diffResources(before, after);
    const tree = DigestTree.of(before);
    const start = tree.digest;
    assertEquals(tree.with(delta).digest, snapshotDigest(after));
    assertEquals(tree.digest, start);
  }));
});

Deno.test("snapshotDigest() tells apart content, ids and presence", () => {
  const digests = new Set([
    snapshotDigest([]),
    snapshotDigest([cluster("a")]),
    snapshotDigest([cluster("b")]),
    snapshotDigest([cluster("a", "h2c")]),
    snapshotDigest([cluster("a"), cluster("b")]),
  ]);
  assertEquals(digests.size, 5);
});

Deno.test("applyDelta(diffResources()) leads from any content to any other", () => {
  fc.assert(fc.property(resourcesArbitrary, resourcesArbitrary, (before, after) => {
    const base = ResourceMap.from(before);
    const result = applyDelta(base, diffResources(before, after));
    assertEquals(new Map([...result].sort()), new Map([...after].sort()));
    assertEquals(result.size, after.size);
    assertEquals(new Map([...base].sort()), new Map([...before].sort()));
  }));
});

Deno.test("diffResources() gives the same delta for a map that was made of the other", () => {
  const contents = resourcesArbitrary;
  fc.assert(fc.property(contents, contents, contents, (base, set, other) => {
    const before = ResourceMap.from(base);
    const equal = ResourceMap.from([...base].map(([id, value]) => [id, structuredClone(value)]));
    const after = equal.with(set, other.keys());
    assertEquals(
      diffResources(before, after, { equal }),
      diffResources(new Map(base), new Map(after)),
    );
  }));
});

Deno.test("ResourceMap spreads again as it grows and keeps every entry", () => {
  let map = ResourceMap.from<number>([]);
  for (let i = 0; i < 1000; i++) map = map.with([[`id/${i}`, i]], []);
  assertEquals(map.size, 1000);
  assertEquals([...map.values()].sort((a, b) => a - b).at(-1), 999);
  for (let i = 0; i < 1000; i++) assertEquals(map.get(`id/${i}`), i);
  assertNotEquals(map.has("id/1000"), true);
});

Deno.test("ResourceMap.changedSince() names exactly the keys whose values are not the same object", () => {
  const key = fc.integer({ min: 0, max: 300 }).map((n) => `id/${n}`);
  const entries = fc.array(fc.tuple(key, fc.integer({ min: 0, max: 2 })), { maxLength: 200 });
  fc.assert(fc.property(entries, entries, fc.array(key), (first, set, deleted) => {
    const before = ResourceMap.from(first);
    const after = before.with(set, deleted);
    for (const [a, b] of [[before, after], [ResourceMap.from(set), before]] as const) {
      const expected = [...new Set([...a.keys(), ...b.keys()])]
        .filter((name) => a.get(name) !== b.get(name));
      assertEquals([...b.changedSince(a)].sort(), expected.sort());
    }
  }));
});
