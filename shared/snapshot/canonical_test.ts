import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CanonicalError, canonicalize } from "./canonical.ts";

Deno.test("canonicalize() sorts members by UTF-16 code units and writes no space", () => {
  const value = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6 };
  // The order of RFC 8785 §3.2.3's example.
  assertEquals(
    canonicalize(value),
    '{"\\r":2,"1":4,"\u0080":6,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}',
  );
});

Deno.test("canonicalize() refuses what has no exact form, with its path", () => {
  const bad: [unknown, string][] = [
    [{ a: null }, "$.a"],
    [{ a: [1, 0.5] }, "$.a[1]"],
    [{ a: 2 ** 53 }, "$.a"],
    [{ a: undefined }, "$.a"],
    [["\ud800"], "$[0]"],
    [new Map(), "$"],
    [NaN, "$"],
    [10n, "$"],
  ];
  for (const [value, path] of bad) {
    assertEquals(assertThrows(() => canonicalize(value), CanonicalError).path, path);
  }
});

Deno.test("canonicalize() gives one text per value, which parses back to it", () => {
  const leaf = fc.oneof(fc.boolean(), fc.maxSafeInteger(), fc.string());
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      leaf,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("value"), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  fc.assert(fc.property(value, (data) => {
    const text = canonicalize(data);
    assertEquals(canonicalize(JSON.parse(text)), text);
  }));
});
