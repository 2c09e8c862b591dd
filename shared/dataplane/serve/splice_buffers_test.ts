import { assert, assertEquals } from "@std/assert";
import { LargeBuffers, SpliceBuffer } from "./splice_buffers.ts";

/** Reads that fill their room, until there is a large one; the sizes of the rooms. */
function fill(buffer: SpliceBuffer, reads: number): number[] {
  return Array.from({ length: reads }, () => {
    const { length } = buffer.room();
    buffer.passed(length);
    return length;
  });
}

const [LEAST, OWN, LARGE] = [512, 64 * 1024, 256 * 1024] as const;
const GROWTH = [LEAST, 4 * 1024, 32 * 1024, OWN];

Deno.test("SpliceBuffer waits with little room, and has more as long as reads fill it", () => {
  const buffer = new SpliceBuffer(new LargeBuffers(() => {}));
  assertEquals(fill(buffer, 6), [...GROWTH, LARGE, LARGE]);
  // Nothing more waits to be read: the next read may wait for ever.
  buffer.passed(LARGE - 1);
  assertEquals(buffer.room().length, OWN);
  buffer.passed(OWN - 1);
  assertEquals(buffer.room().length, OWN);
  for (const expected of [8 * 1024, 1024, LEAST, LEAST]) {
    buffer.passed(1);
    assertEquals(buffer.room().length, expected);
  }
});

Deno.test("SpliceBuffer goes on with its own when all large ones are in use", () => {
  let refused = 0;
  const shared = new LargeBuffers(() => refused++);
  const busy = Array.from({ length: 64 }, () => new SpliceBuffer(shared));
  for (const buffer of busy) assertEquals(fill(buffer, 5).at(-1), LARGE);
  const late = new SpliceBuffer(shared);
  assertEquals(fill(late, 6), [...GROWTH, OWN, OWN]);
  assertEquals(refused, 3);
  const given = busy[0]?.room();
  busy[0]?.passed(1);
  fill(late, 1);
  assert(late.room() === given, "what one gave back is the next one's");
  late.passed(0);
  const last = new SpliceBuffer(shared);
  fill(last, 4);
  assert(last.room() === given, "at its end a direction needs none");
});

Deno.test("SpliceBuffer: the large buffer of a closed connection is nobody else's", () => {
  const shared = new LargeBuffers(() => {});
  const buffers = Array.from({ length: 64 }, () => new SpliceBuffer(shared));
  for (const buffer of buffers) fill(buffer, 5);
  const [closed] = buffers;
  const mayBeInUse = closed?.room();
  closed?.drop();
  closed?.drop();
  // A read that was under way ends.
  closed?.passed(LARGE - 1);
  const next = new SpliceBuffer(shared);
  assertEquals(fill(next, 5).at(-1), LARGE);
  assert(next.room() !== mayBeInUse);
  const beyond = new SpliceBuffer(shared);
  assertEquals(fill(beyond, 5).at(-1), OWN, "one place was given back, not two");
});
