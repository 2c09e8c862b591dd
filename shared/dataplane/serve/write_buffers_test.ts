import { assert, assertEquals } from "@std/assert";
import { freeBody, WriteBuffers } from "./write_buffers.ts";

Deno.test("WriteBuffers hands the same memory out again, by size, up to a bound", () => {
  const buffers = new WriteBuffers();
  const small = buffers.take(100)!;
  const large = buffers.take(20_000)!;
  assert(small.length >= 100 && large.length >= 20_000 && small.length < large.length);
  buffers.give(large);
  buffers.give(small);
  assert(buffers.take(5) === small && buffers.take(64 * 1024) === large);
  assert(buffers.take(5) !== small);
  assertEquals(buffers.take(1024 * 1024), undefined);
});

Deno.test("freeBody() frees large bodies, and nothing that others may read", () => {
  const whole = new Uint8Array(16 * 1024);
  freeBody(whole);
  assertEquals(whole.length, 0);
  const shared = new Uint8Array(16 * 1024);
  freeBody(shared.subarray(0, 8 * 1024));
  assertEquals(shared.length, 16 * 1024);
  const small = new Uint8Array(100);
  freeBody(small);
  assertEquals(small.length, 100);
});
