import { assert, assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import { InboundBody } from "./inbound_body.ts";

/** A body with what it told its stream. */
function observed() {
  const told = { consumed: 0, dropped: 0, waits: [] as boolean[], cancelled: 0 };
  const body = new InboundBody(-1, {
    consumed: (octets) => void (told.consumed += octets),
    dropped: (octets) => void (told.dropped += octets),
    waits: (waiting) => void told.waits.push(waiting),
    cancelled: () => void told.cancelled++,
  });
  return { body, told };
}

Deno.test("InboundBody gives what came, in order, however it came and was read", async () => {
  const step = fc.oneof(
    fc.constant("read" as const),
    fc.record({ size: fc.nat({ max: 3000 }), room: fc.constantFrom(1, 2, 50) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { body, told } = observed();
      const sent: number[] = [];
      const read: number[] = [];
      const keep = (chunk: Uint8Array | null) => void (chunk && read.push(...chunk));
      let waiting: Promise<void> | undefined;
      let next = 0;
      for (const step of steps) {
        if (step === "read") {
          await waiting;
          if (sent.length > read.length) keep(await body.read());
          continue;
        }
        // A piece of a larger buffer, which it must not keep alive.
        const buffer = new Uint8Array(step.size * step.room);
        for (let i = 0; i < step.size; i++) sent.push(buffer[i] = next++ & 255);
        if (waiting === undefined && sent.length - step.size === read.length && step.size > 0) {
          waiting = body.read().then(keep);
        }
        body.push(buffer.subarray(0, step.size));
        await waiting;
        waiting = undefined;
        assertEquals(told.consumed, read.length);
      }
      body.end();
      for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) keep(chunk);
      assertEquals(read, sent);
      assertEquals([told.consumed, told.dropped], [sent.length, 0]);
    }),
    { numRuns: 200 },
  );
});

Deno.test("InboundBody puts small pieces together", async () => {
  const { body } = observed();
  const buffer = new Uint8Array(64 * 1024);
  for (let i = 0; i < 20_000; i++) body.push(buffer.subarray(i, i + 1));
  body.end();
  let pieces = 0;
  let kept = 0;
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    pieces++;
    kept += chunk.buffer.byteLength;
  }
  assert(pieces <= 5, `${pieces} pieces`);
  assert(kept < 25_000, `${kept} octets held`);
});

Deno.test("InboundBody drops what is left when its reader gives up", async () => {
  const { body, told } = observed();
  body.push(new Uint8Array(10));
  body.push(new Uint8Array(5));
  await body.read();
  body.push(new Uint8Array(3));
  body.cancel(new Error("enough"));
  body.cancel();
  body.push(new Uint8Array(7));
  await assertRejects(() => body.read(), Error, "given up");
  assertEquals(told.consumed + told.dropped, 25);
  assertEquals(told.cancelled, 1);
});

Deno.test("InboundBody tells that its reader waits, and ends or fails the wait", async () => {
  const { body, told } = observed();
  const first = body.read();
  body.push(Uint8Array.of(1));
  assertEquals(await first, Uint8Array.of(1));
  const second = body.read();
  body.end();
  assertEquals(await second, null);
  assertEquals(told.waits, [true, false, true, false]);
  const failing = observed().body;
  const third = failing.read();
  failing.fail(new Error("gone"));
  await assertRejects(() => third, Error, "gone");
});
