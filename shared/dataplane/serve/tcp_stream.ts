/** A plaintext connection, of a client or to an endpoint, as a {@linkcode ByteStream}. */
import type { ByteStream } from "./byte_stream.ts";

/** Bytes of a connection's first read buffer, and of the later ones: most requests are small. */
const FIRST_BUFFER = 4 * 1024;
const BUFFER = 8 * 1024;
/** After a read that filled all the room: somebody uploads. */
const LARGE_BUFFER = 64 * 1024;
/** The largest of a stream that somebody sends much on: fewer reads cost less. */
const STREAM_BUFFER = 256 * 1024;
/** With less room than this left, a new buffer is taken. */
const LEAST_ROOM = 1024;

/**
 * Reads go into one buffer after the other, each read into the room that the last one left: what a
 * read gave belongs to the caller without a copy, and a buffer serves many small requests.
 */
export class TcpStream implements ByteStream {
  readonly copied = true;
  onClose: (() => void) | null = null;
  readonly #conn: Deno.TcpConn | Deno.UnixConn;
  #buffer = new Uint8Array(FIRST_BUFFER);
  #at = 0;
  #pushedBack: Uint8Array | null = null;
  #ended = false;
  #closed = false;
  #recycled = false;

  /** @param conn owned by the stream from now on */
  constructor(conn: Deno.TcpConn | Deno.UnixConn) {
    this.#conn = conn;
    // Nagle's algorithm would hold the second chunk of an answer back.
    if ("setNoDelay" in conn) conn.setNoDelay(true);
  }

  /**
   * From now on what a read gives is the caller's until its next read alone: one buffer serves all
   * reads, which grows while somebody sends much and shrinks again.
   */
  recycle(): void {
    this.#recycled = true;
    this.#at = 0;
  }

  /** Gives bytes back that were read: the next read returns them. */
  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pushedBack = bytes;
  }

  async read(): Promise<Uint8Array | null> {
    const pushedBack = this.#pushedBack;
    if (pushedBack !== null) {
      this.#pushedBack = null;
      return pushedBack;
    }
    if (this.#ended) return null;
    let n: number | null;
    const room = this.#at === 0 ? this.#buffer : this.#buffer.subarray(this.#at);
    try {
      n = await this.#conn.read(room);
    } catch (error) {
      this.destroy();
      throw error;
    }
    if (n === null) {
      this.#ended = true;
      return null;
    }
    if (this.#recycled) {
      const size = fitting(n, room.length);
      if (size !== room.length) this.#buffer = new Uint8Array(size);
    } else if (room.length - n < LEAST_ROOM) {
      this.#buffer = new Uint8Array(n === room.length ? LARGE_BUFFER : BUFFER);
      this.#at = 0;
    } else this.#at += n;
    return room.subarray(0, n);
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = await this.#conn.write(bytes); at < bytes.length;) {
        at += await this.#conn.write(bytes.subarray(at));
      }
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  async end(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#conn.closeWrite();
    } catch {
      // The peer is gone.
      this.destroy();
    }
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
    const onClose = this.onClose;
    this.onClose = null;
    onClose?.();
  }
}

/** Bytes for the next read after one that gave `n` of `length`. */
function fitting(n: number, length: number): number {
  if (n === length) return Math.min(length * 8, STREAM_BUFFER);
  return n < length / 32 ? Math.min(length, BUFFER) : length;
}
