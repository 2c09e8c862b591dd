import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { LayeredMap } from "./layered_map.ts";

Deno.test("LayeredMap gives what a Map gives, through any series of changes, and never changes", () => {
  const key = fc.integer({ min: 0, max: 120 }).map((n) => `k${n}`);
  const value = fc.option(fc.integer(), { nil: undefined });
  const change = fc.array(fc.tuple(key, value), { maxLength: 40 });
  fc.assert(fc.property(change, fc.array(change, { maxLength: 12 }), (first, changes) => {
    const plain = new Map<string, number>();
    for (const [name, entry] of first) if (entry !== undefined) plain.set(name, entry);
    let layered = LayeredMap.of(new Map(plain));
    for (const entries of changes) {
      const before = layered;
      const held = new Map(before.entries());
      layered = layered.with(new Map(entries));
      for (const [name, entry] of new Map(entries)) {
        if (entry === undefined) plain.delete(name);
        else plain.set(name, entry);
      }
      assertEquals(new Map(layered.entries()), plain);
      assertEquals(layered.size, plain.size);
      for (let i = 0; i <= 120; i++) assertEquals(layered.get(`k${i}`), plain.get(`k${i}`));
      assertEquals(new Map(before.entries()), held);
    }
  }));
});
