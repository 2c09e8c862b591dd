import { assert, assertEquals } from "@std/assert";
import { DatagramBuffers, type DatagramRoom, MAX_DATAGRAM } from "./datagram_buffers.ts";

const ROOMS_OF_A_SLAB = 64;

function take(buffers: DatagramBuffers, count: number): DatagramRoom[] {
  return Array.from({ length: count }, () => buffers.take());
}

Deno.test("DatagramBuffers gives everyone room for the largest datagram, and nobody another's", () => {
  const buffers = new DatagramBuffers();
  const rooms = take(buffers, ROOMS_OF_A_SLAB + 1);
  rooms.forEach(({ bytes }, index) => bytes.fill(index + 1));
  rooms.forEach(({ bytes }, index) => {
    assertEquals(bytes.length, MAX_DATAGRAM);
    assert(bytes[0] === index + 1 && bytes.at(-1) === index + 1);
  });
  assertEquals(buffers.slabs, 2);
});

Deno.test("DatagramBuffers uses what was given back, and keeps one slab that nobody uses", () => {
  const buffers = new DatagramBuffers();
  for (let round = 0; round < 3; round++) {
    const rooms = take(buffers, 3 * ROOMS_OF_A_SLAB);
    assertEquals(buffers.slabs, 3);
    rooms[0]?.release();
    const again = buffers.take();
    assertEquals(again.bytes.byteOffset, rooms[0]?.bytes.byteOffset);
    assertEquals(buffers.slabs, 3);
    for (const room of [again, ...rooms.slice(1)]) room.release();
    assertEquals(buffers.slabs, 1);
  }
});
