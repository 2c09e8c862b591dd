/** A plaintext connection, of a client or to an endpoint, as a {@linkcode ByteStream}. */
import type { ByteStream } from "./byte_stream.ts";
import { type LargeBuffers, SpliceBuffer } from "./splice_buffers.ts";

/** Bytes of a connection's first read buffer, and of the later ones: most requests are small. */
const FIRST_BUFFER = 4 * 1024;
const BUFFER = 8 * 1024;
/** After a read that filled all the room: somebody uploads. */
const LARGE_BUFFER = 64 * 1024;
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
  /** Null before the first read. */
  #buffer: Uint8Array | null = null;
  #at = 0;
  #pushedBack: Uint8Array | null = null;
  #ended = false;
  #closed = false;
  #recycled: SpliceBuffer | null = null;
  /** Bytes that the last read gave. */
  #given = 0;

  /** @param conn owned by the stream from now on */
  constructor(conn: Deno.TcpConn | Deno.UnixConn) {
    this.#conn = conn;
    // Nagle's algorithm would hold the second chunk of an answer back.
    if ("setNoDelay" in conn) conn.setNoDelay(true);
  }

  /**
   * From now on what a read gives is the caller's until its next read alone: one buffer serves all
   * reads, as large as what is sent.
   */
  recycle(shared: LargeBuffers): void {
    this.#recycled = new SpliceBuffer(shared);
    this.#buffer = null;
    this.#given = 0;
  }

  /** Gives bytes back that were read: the next read returns them. */
  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pushedBack = bytes;
  }

  read(): Promise<Uint8Array | null> {
    const pushedBack = this.#pushedBack;
    if (pushedBack !== null) {
      this.#pushedBack = null;
      return Promise.resolve(pushedBack);
    }
    if (this.#ended) return Promise.resolve(null);
    const room = this.#room();
    // Most connections wait here: two functions take less memory than an async one.
    return this.#conn.read(room).then((n) => this.#took(room, n), (error) => {
      this.destroy();
      throw error;
    });
  }

  #took(room: Uint8Array, n: number | null): Uint8Array | null {
    if (n === null) {
      this.#ended = true;
      // The other direction may go on for long.
      this.#recycled?.passed(0);
      return null;
    }
    this.#given = n;
    return room.subarray(0, n);
  }

  /** Where the next read goes to. */
  #room(): Uint8Array {
    const given = this.#given;
    this.#given = 0;
    if (this.#recycled !== null) {
      if (given > 0) this.#recycled.passed(given);
      return this.#recycled.room();
    }
    let buffer = this.#buffer ?? new Uint8Array(FIRST_BUFFER);
    this.#at += given;
    if (buffer.length - this.#at < LEAST_ROOM) {
      const filled = this.#at === buffer.length;
      buffer = new Uint8Array(filled ? LARGE_BUFFER : BUFFER);
      this.#at = 0;
    }
    this.#buffer = buffer;
    return this.#at === 0 ? buffer : buffer.subarray(this.#at);
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
    this.#recycled?.drop();
    this.#conn.close();
    const onClose = this.onClose;
    this.onClose = null;
    onClose?.();
  }
}
