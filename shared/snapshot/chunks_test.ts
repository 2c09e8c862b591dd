import { assert, assertEquals } from "@std/assert";
import { type Assembled, ChunkAssembler, splitMessage } from "./chunks.ts";
import { HEADER, type SignedMessage } from "./envelope.ts";

function numbered(length: number, scope = "s"): SignedMessage {
  const body = Uint8Array.from({ length }, (_, index) => index % 251);
  return { headers: { [HEADER.scope]: scope }, body };
}

function pushAll(messages: readonly SignedMessage[]): Assembled[] {
  const assembler = new ChunkAssembler();
  return messages.map((message) => assembler.push(message));
}

function refusals(results: readonly Assembled[]): number {
  return results.filter(({ refused }) => refused?.reason === "chunk").length;
}

function wholes(results: readonly Assembled[]): number {
  return results.filter(({ message }) => message !== undefined).length;
}

Deno.test("splitMessage() leaves what fits alone", () => {
  const message = numbered(10);
  assertEquals(splitMessage(message, 10), [message]);
});

Deno.test("ChunkAssembler puts chunks together and drops the chunk headers", () => {
  const message = numbered(1000);
  const last = pushAll(splitMessage(message, 300)).at(-1)?.message;
  assertEquals(last, message);
});

Deno.test("ChunkAssembler refuses a missing, repeated, foreign or corrupt chunk once", () => {
  const [a, b, c, d] = splitMessage(numbered(1000), 300);
  const [x] = splitMessage(numbered(999), 300);
  assert(a && b && c && d && x);
  const corrupt = { ...b, body: Uint8Array.from(b.body, (byte) => byte ^ 1) };
  const cases = {
    missing: [a, c, d],
    missingFirst: [b, c, d],
    repeated: [a, a, a, b, b, c, d],
    swapped: [a, c, b, d],
    corrupt: [a, corrupt, c, d],
    foreign: [a, { ...b, headers: { ...b.headers, [HEADER.version]: "9" } }, c, d],
    place: [{ ...a, headers: { ...a.headers, [HEADER.chunk]: "0/4" } }],
    wrongWhole: [a, b, c, d].map((chunk) => ({
      ...chunk,
      headers: { ...chunk.headers, [HEADER.whole]: "sha256:00" },
    })),
  };
  for (const [name, messages] of Object.entries(cases)) {
    const results = pushAll(messages);
    assertEquals(wholes(results), 0, name);
    assert(refusals(results) >= 1, name);
  }
});

Deno.test("ChunkAssembler gives up an unfinished message and takes the next", () => {
  const [a, b] = splitMessage(numbered(500), 300);
  assert(a && b);
  const next = numbered(5, "next");
  const results = pushAll([a, next, a, b]);
  assertEquals(refusals(results), 1);
  assertEquals(results[1]?.message, next);
  assertEquals(wholes(results), 2);
});

Deno.test("ChunkAssembler holds no more than its bound", () => {
  const assembler = new ChunkAssembler(500);
  const results = splitMessage(numbered(1000), 300).map((chunk) => assembler.push(chunk));
  assertEquals([wholes(results), refusals(results)], [0, 1]);
});
