import { assertEquals } from "@std/assert";
import { TermPause } from "./term_pause.ts";

Deno.test("TermPause grows while terms are short, and is none after a good one", () => {
  const pause = new TermPause(() => 0.5);
  assertEquals([500, 500, 500].map((lasted) => pause.after(lasted)), [100, 200, 400]);
  for (let term = 0; term < 20; term++) pause.after(0);
  assertEquals(pause.after(0), 10_000);
  assertEquals([pause.after(3_600_000), pause.after(0)], [0, 100]);
});
