/** What the load of `bench l4` and its backend say to each other, over TCP and in place of TLS. */

/** Bytes of one write. */
export const CHUNK = 64 * 1024;

/** The first byte of a connection, after its ClientHello if it has one: what it is for. */
export const COMMANDS = {
  /** The client sends chunks to its end, the backend answers how many bytes came. */
  upload: 0x55,
  /** The backend sends chunks until the client ends, then how many bytes went. */
  download: 0x44,
  /** The backend answers one byte, and nothing more until the client ends. */
  hold: 0x48,
} as const;

export type Command = keyof typeof COMMANDS;

/** A TLS record's type of a handshake message, and the bytes before its content (RFC 8446 §5.1). */
export const HANDSHAKE_RECORD = 22;
export const RECORD_HEADER = 5;

/** The bytes of every write: which one comes next says whether any were lost. */
export function chunk(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: CHUNK }, (_, i) => i % 251);
}

/** A count as eight bytes. */
export function encodeCount(count: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(count));
  return bytes;
}

/** The count of eight bytes. */
export function decodeCount(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
}

/**
 * A ClientHello for a server name (RFC 8446 §4.1.2, RFC 6066 §3). All that passthrough looks at; what
 * follows is opaque to a proxy, so the load need not spend its core on encrypting.
 */
export function clientHello(serverName: string): Uint8Array {
  const u16 = (value: number) => [value >> 8, value & 255];
  const sized = (bytes: readonly number[]) => [...u16(bytes.length), ...bytes];
  const name = sized([...new TextEncoder().encode(serverName)]);
  const extensions = sized([0, 0, ...sized(sized([0, ...name]))]);
  const random = new Array<number>(32).fill(7);
  const body = [3, 3, ...random, 0, ...sized([0x13, 0x01]), 1, 0, ...extensions];
  const message = [1, 0, ...u16(body.length), ...body];
  return new Uint8Array([HANDSHAKE_RECORD, 3, 1, ...sized(message)]);
}

/** Writes all of it. */
export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
