import { assert, assertEquals } from "@std/assert";
import { createServer } from "node:net";
import { connect } from "node:tls";
import fc from "fast-check";
import { type ClientHello, ClientHelloReader, MAX_HELLO } from "./client_hello.ts";

const INVALID: ClientHello = { kind: "invalid" };
const hello = (serverName: string): ClientHello => ({ kind: "hello", serverName });

const u16 = (value: number) => [value >> 8 & 255, value & 255];
const vector8 = (bytes: number[]) => [bytes.length, ...bytes];
const vector16 = (bytes: number[]) => [...u16(bytes.length), ...bytes];
const text = (value: string) => [...new TextEncoder().encode(value)];
const extension = (type: number, data: number[]) => [...u16(type), ...vector16(data)];
const sni = (...names: string[]) =>
  extension(0, vector16(names.flatMap((name) => [0, ...vector16(text(name))])));
/** Types that are reserved so that servers learn to skip what they do not know (RFC 8701). */
const GREASE = extension(0x0a0a, []);

/** The message with its header. */
function message(extensions: number[] | null, { session = 32 } = {}): number[] {
  const body = [
    ...[3, 3],
    ...new Array(32).fill(7),
    ...vector8(new Array(session).fill(1)),
    ...vector16([...u16(0x0a0a), ...u16(0x1301)]),
    ...vector8([0]),
    ...(extensions === null ? [] : vector16(extensions)),
  ];
  return [1, body.length >> 16, ...u16(body.length), ...body];
}

/** In records of so many bytes at most. */
function records(bytes: number[], size = 16_384): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.slice(at, at + size);
    out.push(22, 3, 1, ...vector16(part));
  }
  return new Uint8Array(out);
}

/** Fed in segments of so many bytes. */
function read(bytes: Uint8Array, segment = bytes.length): ClientHello {
  const reader = new ClientHelloReader();
  let answer: ClientHello = { kind: "incomplete" };
  for (let at = 0; at < bytes.length; at += Math.max(1, segment)) {
    answer = reader.push(bytes.subarray(at, at + Math.max(1, segment)));
  }
  return answer;
}

Deno.test("ClientHelloReader finds the name however the message is cut", () => {
  const bytes = message([...GREASE, ...sni("Db.Example.com"), ...GREASE]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 400 }), (size, cut) => {
      assertEquals(read(records(bytes, size), cut), hello("db.example.com"));
    }),
    { numRuns: 200, seed: 3 },
  );
});

Deno.test("ClientHelloReader says of names what they are", () => {
  const cases: [number[] | null, ClientHello][] = [
    [null, hello("")],
    [[], hello("")],
    [GREASE, hello("")],
    [sni("a.example.com."), hello("a.example.com")],
    [sni("not a name"), hello("")],
    [sni("*.example.com"), hello("")],
    [sni("a".repeat(300)), hello("")],
    // With encrypted ClientHello the name outside is all there is to see.
    [[...extension(0xfe0d, [0, 1, 2]), ...sni("public.example.com")], hello("public.example.com")],
    [sni("a.example.com", "b.example.com"), INVALID],
    [[...sni("a.example.com"), ...sni("b.example.com")], INVALID],
    [extension(0, [0, 9, 0]), INVALID],
    [[0, 0, 0, 200, 1], INVALID],
  ];
  for (const [extensions, expected] of cases) {
    assertEquals(read(records(message(extensions))), expected);
  }
});

Deno.test("ClientHelloReader refuses what is no ClientHello at its first bytes, and too much of one", () => {
  const good = records(message(sni("a.example.com")));
  const changed = (at: number, value: number) => good.map((byte, i) => i === at ? value : byte);
  assertEquals(read(new TextEncoder().encode("GET / HTTP/1.1\r\n")), INVALID);
  assertEquals(read(changed(0, 21)), INVALID);
  assertEquals(read(changed(1, 2)), INVALID);
  assertEquals(read(new Uint8Array([22, 3, 1, 0, 0])), INVALID, "a record of nothing");
  assertEquals(read(new Uint8Array([22, 3, 1, 255, 255])), INVALID, "a record too long");
  assertEquals(read(changed(5, 2)), INVALID, "a ServerHello");
  assertEquals(read(records([1, 1, 0, 0, 3])), INVALID, "64 KiB are announced");
  assertEquals(read(records(message(sni("a.b"), { session: 33 }))), INVALID);
  const endless = records([1, 0, 127, 255, ...new Array(MAX_HELLO).fill(0)], 1);
  assertEquals(read(endless), INVALID, "records of one byte each");
});

Deno.test("ClientHelloReader survives any bytes, and answers the same whatever the cuts", () => {
  const good = [...records(message([...GREASE, ...sni("a.example.com")]))];
  const mutated = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 })
    .map((edits) => {
      const bytes = new Uint8Array(good);
      for (const [at, value] of edits) bytes[at] = value;
      return bytes;
    });
  const any = fc.oneof(mutated, fc.uint8Array({ maxLength: 400 }));
  let found = 0;
  fc.assert(
    fc.property(any, fc.integer({ min: 1, max: 50 }), (bytes, cut) => {
      const whole = read(bytes);
      assertEquals(read(bytes, cut), whole);
      if (whole.kind === "hello") found++;
    }),
    { numRuns: 2_000, seed: 5 },
  );
  assert(found > 50, `found: ${found}`);
});

Deno.test("ClientHelloReader reads what a real client sends", async () => {
  const seen = Promise.withResolvers<ClientHello>();
  const reader = new ClientHelloReader();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes: Uint8Array) => {
      const answer = reader.push(bytes);
      if (answer.kind === "incomplete") return;
      seen.resolve(answer);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const client = connect({ port, host: "127.0.0.1", servername: "real.example.com" });
  client.on("error", () => {});
  assertEquals(await seen.promise, hello("real.example.com"));
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
});
