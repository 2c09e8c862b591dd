/**
 * The committed vectors bind writer and reader to one wire format: a change here is a change of
 * the protocol and needs a new schema number.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ChunkAssembler, splitMessage } from "./chunks.ts";
import { snapshotDigest } from "./digest.ts";
import { chainHash, openMessage, payloadType, preAuthEncoding, sealMessage } from "./envelope.ts";
import { KeySet } from "./keys.ts";
import { RefusalError } from "./refusal.ts";
import { TEST_KEY, testKeys, testSigner } from "./testing.ts";

interface DigestVector {
  name: string;
  resources: Record<string, unknown>;
  digest: string;
}
interface EnvelopeVector {
  name: string;
  type: "delta" | "checkpoint" | "value" | "epoch";
  scope: string;
  version: number;
  payload: unknown;
  canonical: string;
  headers: Record<string, string>;
  chain: string;
}
interface ChunkVector {
  body: string;
  limit: number;
  chunks: { headers: Record<string, string>; body: string }[];
}

async function vectors<T>(name: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(new URL(`testdata/${name}.json`, import.meta.url)));
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("snapshotDigest() gives the digests of the vectors", async () => {
  for (const { name, resources, digest } of await vectors<DigestVector[]>("digest")) {
    assertEquals(snapshotDigest(Object.entries(resources)), digest, name);
  }
});

Deno.test("sealMessage() writes and openMessage() reads the vectors", async () => {
  for (const vector of await vectors<EnvelopeVector[]>("envelope")) {
    const { message, chain } = sealMessage(vector, testSigner());
    assertEquals({ ...message.headers }, vector.headers, vector.name);
    assertEquals(new TextDecoder().decode(message.body), vector.canonical, vector.name);
    assertEquals(chain, vector.chain, vector.name);
    const signature = vector.headers["Lgw-Signature"] ?? "";
    const pae = preAuthEncoding(payloadType(vector.type), bytes(vector.canonical));
    assertEquals(chainHash(pae, signature), vector.chain, vector.name);
    const read = { headers: vector.headers, body: bytes(vector.canonical) };
    assertEquals(openMessage(read, { keys: testKeys() }).payload, vector.payload, vector.name);
    assertThrows(() => openMessage(read, { keys: new KeySet([]) }), RefusalError, "not trusted");
  }
});

Deno.test("preAuthEncoding() follows the DSSE specification's example", () => {
  const encoded = preAuthEncoding("http://example.com/HelloWorld", bytes("hello world"));
  assertEquals(
    new TextDecoder().decode(encoded),
    "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
  );
});

Deno.test("splitMessage() writes and ChunkAssembler reads the vectors", async () => {
  const { body, limit, chunks } = await vectors<ChunkVector>("chunks");
  const message = { headers: { "Lgw-Scope": "s" }, body: bytes(body) };
  const split = splitMessage(message, limit);
  assertEquals(
    split.map((chunk) => ({ headers: chunk.headers, body: new TextDecoder().decode(chunk.body) })),
    chunks,
  );
  const assembler = new ChunkAssembler();
  const results = chunks.map((chunk) =>
    assembler.push({ headers: chunk.headers, body: bytes(chunk.body) })
  );
  assertEquals(new TextDecoder().decode(results.at(-1)?.message?.body), body);
  assertEquals(results.filter((result) => result.message !== undefined).length, 1);
});

Deno.test("the test key is the one of the vectors", () => {
  assert(testKeys().has(testSigner().keyId));
  assertEquals(testSigner().publicKey, TEST_KEY.publicKey);
});
