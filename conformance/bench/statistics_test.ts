import { assert, assertEquals, assertThrows } from "@std/assert";
import { drift, formatVerdict, median, quantile, slopeOf } from "./statistics.ts";

Deno.test("quantile() and median() are values of the samples", () => {
  assertEquals([0, 0.5, 0.99, 1].map((q) => quantile([4, 1, 3, 2], q)), [1, 3, 4, 4]);
  assertEquals(median([9, 1, 5]), 5);
  assertThrows(() => median([]), RangeError);
});

Deno.test("drift() leaves the lowest and the highest sample out", () => {
  assertEquals(drift([1, 10, 10, 11, 99]), 0.1);
  assertThrows(() => drift([1, 2, 3, 4]), RangeError);
});

Deno.test("formatVerdict() says pass, miss, or that it cannot say", () => {
  const verdict = { name: "n", measured: "1", target: "2" };
  assertEquals(formatVerdict({ ...verdict, outcome: "pass" }), "PASS  n: 1 (target 2)");
  assertEquals(formatVerdict({ ...verdict, outcome: "noisy" }), "????  n: 1 (target 2)");
});

Deno.test("slopeOf() finds the line that noise hides, and says how sure it is", () => {
  const line = (noise: number) =>
    Array.from({ length: 40 }, (_, x) => [x, 3 + 2 * x + (x % 2 === 0 ? noise : -noise)] as const);
  assertEquals(slopeOf(line(0)), { slope: 2, error: 0 });
  const { slope, error } = slopeOf(line(1));
  assert(Math.abs(slope - 2) < 2 * error && error < 0.1);
  assertThrows(() => slopeOf([[0, 1], [1, 1]]), RangeError);
  assertThrows(() => slopeOf([[1, 1], [1, 2], [1, 3]]), RangeError);
});
