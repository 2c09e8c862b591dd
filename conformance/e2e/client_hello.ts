/** The first message of a TLS client, as bytes that a test can cut, pad and repeat. */
import { once } from "node:events";
import { connect } from "node:tls";

/** What a real client sends first for a server name: one record. */
export async function clientHello(servername: string): Promise<Uint8Array> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = connect({ port: listener.addr.port, host: "127.0.0.1", servername });
  client.on("error", () => {});
  const closed = once(client, "close");
  const conn = await listener.accept();
  const parts: number[] = [];
  const buffer = new Uint8Array(16 * 1024);
  while (parts.length < 5 || parts.length < 5 + (parts[3]! << 8 | parts[4]!)) {
    const n = await conn.read(buffer);
    if (n === null) throw new Error("the client left before its first message was whole");
    parts.push(...buffer.subarray(0, n));
  }
  conn.close();
  client.destroy();
  await closed;
  listener.close();
  return Uint8Array.from(parts);
}

/** The same message for another name, which is as long: lengths are not written anew. */
export function renamed(hello: Uint8Array, { from, to }: { from: string; to: string }): Uint8Array {
  const text = Array.from(hello, (byte) => String.fromCharCode(byte)).join("");
  const at = text.indexOf(from);
  if (at === -1 || from.length !== to.length) throw new RangeError(`${from} → ${to}`);
  const copy = hello.slice();
  copy.set(new TextEncoder().encode(to), at);
  return copy;
}

/** The same message in records of a few bytes each (RFC 8446 §5.1 lets messages be cut anywhere). */
export function inRecords(hello: Uint8Array, size: number): Uint8Array {
  const message = hello.subarray(5);
  const records: number[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(22, 3, 1, part.length >> 8, part.length & 255, ...part);
  }
  return Uint8Array.from(records);
}

/** A message that says to be so long, in records of 16 KiB, as far as `sent` bytes of it. */
export function oversized(length: number, sent: number): Uint8Array {
  const message = new Uint8Array(sent);
  message.set([1, length >> 16, (length >> 8) & 255, length & 255]);
  return inRecords(Uint8Array.from([0, 0, 0, 0, 0, ...message]), 16_384);
}
