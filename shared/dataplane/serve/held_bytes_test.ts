import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { HeldBytes } from "./held_bytes.ts";

Deno.test("HeldBytes gives back what was put in, however it was cut, and writes into none of it", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 900 })), (pieces) => {
    const before = pieces.map((piece) => [...piece]);
    const held = new HeldBytes();
    for (const piece of pieces) held.push(piece);
    assertEquals([...held.take()], before.flat());
    assertEquals(pieces.map((piece) => [...piece]), before);
    assertEquals(held.take().length, 0);
  }));
});
