import { assertEquals } from "@std/assert";
import { connectionBound } from "./connection_bound.ts";

Deno.test("connectionBound() leaves a backend connection per client, and some for the rest", () => {
  assertEquals(connectionBound(16_384, 1_024), { bound: 480, openFiles: 1_024, reserved: 544 });
  assertEquals(connectionBound(100, 1_024), { bound: 100, openFiles: 1_024, reserved: 924 });
  assertEquals(connectionBound(16_384, 1_048_576).bound, 16_384);
  assertEquals(connectionBound(16_384, 10).bound, 1);
  assertEquals(connectionBound(16_384, undefined), {
    bound: 16_384,
    openFiles: null,
    reserved: null,
  });
});
