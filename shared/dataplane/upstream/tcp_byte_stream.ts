/** A TCP connection as a {@linkcode ByteStream}. */
import type { ByteStream } from "../serve/byte_stream.ts";

const FIRST_BUFFER = 4 * 1024;
const BUFFER = 16 * 1024;
/** After a read that filled all there was: more of a body is coming. */
const LARGE_BUFFER = 64 * 1024;
/** With less room than this a new buffer is begun. */
const LEAST_ROOM = 2 * 1024;

/**
 * Each read goes into the room that the last one left in its buffer, so that the bytes belong to
 * the reader and small messages share a buffer.
 */
export class TcpByteStream implements ByteStream {
  onClose: (() => void) | null = null;
  readonly #conn: Deno.TcpConn;
  #buffer = new Uint8Array(FIRST_BUFFER);
  #at = 0;
  #closed = false;

  /** @param conn closed by the stream */
  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    // Nagle's algorithm would hold small frames back.
    conn.setNoDelay(true);
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#closed) return null;
    const room = this.#at === 0 ? this.#buffer : this.#buffer.subarray(this.#at);
    const n = await this.#conn.read(room);
    if (n === null) return null;
    this.#at += n;
    if (room.length - n < LEAST_ROOM) {
      this.#buffer = new Uint8Array(n === room.length ? LARGE_BUFFER : BUFFER);
      this.#at = 0;
    }
    return room.subarray(0, n);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = await this.#conn.write(bytes); at < bytes.length;) {
      at += await this.#conn.write(bytes.subarray(at));
    }
  }

  async end(): Promise<void> {
    try {
      await this.#conn.closeWrite();
    } catch {
      // The peer is gone.
    }
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#conn.close();
    } catch {
      // Closed already.
    }
    const onClose = this.onClose;
    this.onClose = null;
    onClose?.();
  }
}
