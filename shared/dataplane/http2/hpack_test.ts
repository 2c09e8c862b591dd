import { assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { ConnectionError } from "./errors.ts";
import { FieldBlock, HpackDecoder } from "./hpack_decoder.ts";
import { BLOCK_OVERHEAD, fieldBound, FieldError, HpackEncoder } from "./hpack_encoder.ts";
import { huffmanBound, huffmanDecode, huffmanEncode, huffmanLength } from "./huffman.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g)!, (pair) => parseInt(pair, 16));
}

function decoded(decoder: HpackDecoder, bytes: Uint8Array): string[] {
  const block = new FieldBlock();
  decoder.decode(bytes, block);
  return block.fields.flatMap(({ name, value }) => [name, value]);
}

function encoded(encoder: HpackEncoder, list: readonly string[]): Uint8Array {
  let bound = BLOCK_OVERHEAD;
  for (let i = 0; i < list.length; i += 2) bound += fieldBound(list[i]!, list[i + 1]!);
  const bytes = new Uint8Array(bound);
  encoder.begin(bytes, 0);
  for (let i = 0; i < list.length; i += 2) encoder.field(list[i]!, list[i + 1]!);
  return bytes.subarray(0, encoder.at);
}

Deno.test("HpackDecoder reads the requests of RFC 7541 Appendix C.4, one table over all", () => {
  const decoder = new HpackDecoder(1000);
  const head = (scheme: string, path: string) => [
    ":method",
    "GET",
    ":scheme",
    scheme,
    ":path",
    path,
    ":authority",
    "www.example.com",
  ];
  assertEquals(decoded(decoder, hex("828684418cf1e3c2e5f23a6ba0ab90f4ff")), head("http", "/"));
  assertEquals(decoded(decoder, hex("828684be5886a8eb10649cbf")), [
    ...head("http", "/"),
    "cache-control",
    "no-cache",
  ]);
  assertEquals(decoded(decoder, hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")), [
    ...head("https", "/index.html"),
    "custom-key",
    "custom-value",
  ]);
});

const NAME = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
const VALUE = fc.stringMatching(/^[!-~\u00a1-\u00ff]([ -~]{0,60}[!-~])?$/);
const FIELD = fc.oneof(
  fc.tuple(NAME, VALUE),
  // Few enough to come again.
  fc.tuple(fc.constantFrom("x-a", "x-b", "server", "cookie"), fc.constantFrom("1", "2", "")),
  fc.constantFrom<[string, string][]>([":status", "200"], [":status", "418"], ["date", "now"]),
);

Deno.test("HpackEncoder and HpackDecoder give back what they took, block after block", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.array(FIELD, { maxLength: 12 }) },
    { weight: 1, arbitrary: fc.nat({ max: 6000 }) },
    { weight: 1, arbitrary: fc.constant("reset" as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(1 << 20);
      for (const step of steps) {
        if (step === "reset") encoder.reset();
        else if (typeof step === "number") encoder.setCapacity(step);
        else assertEquals(decoded(decoder, encoded(encoder, step.flat())), step.flat());
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("huffmanDecode() gives back what huffmanEncode() took, and any bytes at most a text", () => {
  const octets = fc.uint8Array({ maxLength: 200 });
  fc.assert(fc.property(octets, (bytes) => {
    const text = String.fromCharCode(...bytes);
    const target = new Uint8Array(huffmanLength(text));
    assertEquals(huffmanEncode(text, target, 0), target.length);
    const back = new Uint8Array(huffmanBound(target.length));
    const size = huffmanDecode(target, [0, target.length], back);
    assertEquals([...back.subarray(0, size)], [...bytes]);
  }));
  fc.assert(
    fc.property(octets, (bytes) => {
      const target = new Uint8Array(huffmanBound(bytes.length));
      const size = huffmanDecode(bytes, [0, bytes.length], target);
      if (size === -1) return;
      // What is read has one encoding: padding that says something else is refused.
      const text = String.fromCharCode(...target.subarray(0, size));
      const again = new Uint8Array(huffmanLength(text));
      huffmanEncode(text, again, 0);
      assertEquals([...again], [...bytes]);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("HpackDecoder throws nothing but COMPRESSION_ERROR, whatever the bytes", () => {
  const decode = (bytes: Uint8Array) => {
    try {
      decoded(new HpackDecoder(5000), bytes);
      return 0;
    } catch (error) {
      if (error instanceof ConnectionError) return error.code;
      throw error;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const code = decode(bytes);
      assertEquals(code === 0 || code === 9, true);
    }),
    { numRuns: 2000 },
  );
  const bad = {
    "index 0": "80",
    "index beyond both tables": "be",
    "integer without an end": "ffffffffff",
    "integer above what fits": "ff8080808001",
    "text longer than its block": "0005616263",
    "text without a length": "00",
    "Huffman: EOS": "0084ffffffff00",
    "Huffman: padding of zeros": "00811800",
    "table larger than allowed": "3fe21f",
    "size update after a field": "8220",
    "three size updates": "202020",
  };
  for (const [why, bytes] of Object.entries(bad)) assertEquals(decode(hex(bytes)), 9, why);
});

Deno.test("HpackDecoder drops what is beyond the bound and stays in step", () => {
  const decoder = new HpackDecoder(10_000);
  const encoder = new HpackEncoder();
  const block = new FieldBlock();
  // One entry of the table, referred to again and again: a small block, a huge list.
  const bomb = new Uint8Array(5000).fill(0xbe);
  bomb.set(encoded(encoder, ["x-bomb", "b".repeat(900)]));
  const first = encoded(new HpackEncoder(), ["x-bomb", "b".repeat(900)]).length;
  bomb.fill(0xbe, first);
  decoder.decode(bomb, block);
  assertEquals(block.tooLarge, true);
  assertEquals(block.fields.length < 12, true);
  assertEquals(decoded(decoder, Uint8Array.of(0xbe)), ["x-bomb", "b".repeat(900)]);
});

Deno.test("HpackEncoder never puts credentials and cookies into the table", () => {
  const encoder = new HpackEncoder();
  for (const name of ["authorization", "cookie", "set-cookie", "proxy-authorization"]) {
    const bytes = [1, 2].map(() => [...encoded(encoder, [name, "secret"])]);
    assertEquals(bytes[0], bytes[1]);
    assertEquals(bytes[0]![0]! & 0xf0, 0x10);
  }
});

Deno.test("HpackEncoder refuses what would not arrive, and is in step after reset()", () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(10_000);
  const unsendable: [string, string][] = [
    ["x", "a\r\nb"],
    ["x", "\0"],
    ["x", "\u010a"],
    ["X", "a"],
    ["x y", "a"],
  ];
  for (const [name, value] of unsendable) {
    assertThrows(() => encoded(encoder, ["x-first", "1", name, value]), FieldError);
    encoder.reset();
    const list = ["x-first", "1", "x-second", "2"];
    assertEquals(decoded(decoder, encoded(encoder, list)), list);
    assertEquals(decoded(decoder, encoded(encoder, list)), list);
  }
});
