import { assertEquals } from "@std/assert";
import { countTests } from "./count_tests.ts";

Deno.test("the results of tests and of examples are added", () => {
  const output = "ok | 12 passed (3 steps) | 0 failed (2s)\nFAILED | 1 passed | 2 failed (1s)\n";
  assertEquals(countTests(output, false), { success: false, summary: "13 passed, 2 failed" });
});

Deno.test("a run that breaks off is a failure, and so is one without tests", () => {
  assertEquals(countTests("ok | 3 passed | 0 failed (1s)\nkilled", false), {
    success: false,
    summary: "3 passed, 1 failed",
  });
  assertEquals(countTests("", true), { success: false, summary: "0 passed, 0 failed" });
});
