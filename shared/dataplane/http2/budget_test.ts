import { assertEquals } from "@std/assert";
import { Budget } from "./budget.ts";

Deno.test("Budget.spend() gives the burst at once, and later what has come back", () => {
  let now = 0;
  const clock = { monotonic: () => now };
  const budget = new Budget({ burst: 3, perSecond: 2, clock });
  const spend = (times: number) => Array.from({ length: times }, () => budget.spend());
  assertEquals(spend(4), [true, true, true, false]);
  now = 600;
  assertEquals(spend(2), [true, false]);
  // Never more than the burst, after however long.
  now = 1e9;
  assertEquals(spend(4), [true, true, true, false]);
  budget.earn(1);
  assertEquals(spend(2), [true, false]);
  budget.earn(100);
  assertEquals(spend(4), [true, true, true, false]);
});
