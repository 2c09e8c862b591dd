/** Received bytes that nobody has taken yet. */
import type { ByteStream } from "./byte_stream.ts";

export class InputBuffer {
  bytes: Uint8Array = new Uint8Array(0);
  /** First byte not yet taken. */
  start = 0;
  end = 0;
  readonly #stream: ByteStream;
  /** Whether `bytes` was made here: what the transport handed over is not written to. */
  #owned = false;
  #filling: Promise<boolean> | undefined;
  readonly #onChunk = (chunk: Uint8Array | null) => this.#take(chunk);
  readonly #onFailure = (error: unknown) => {
    this.#filling = undefined;
    throw error;
  };

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  get size(): number {
    return this.end - this.start;
  }

  /**
   * Waits for more bytes and appends them; false at the end of the stream. Who asks while another
   * waits (an answer that ends before its request) waits for the same bytes.
   */
  fill(): Promise<boolean> {
    return this.#filling ??= this.#stream.read().then(this.#onChunk, this.#onFailure);
  }

  #take(chunk: Uint8Array | null): boolean {
    this.#filling = undefined;
    if (chunk === null) return false;
    if (this.size === 0) {
      this.bytes = chunk;
      this.#owned = false;
      this.start = 0;
      this.end = chunk.length;
      return true;
    }
    this.#append(chunk);
    return true;
  }

  /** Room grows by doubling, so that bytes that trickle in are copied few times. */
  #append(chunk: Uint8Array): void {
    if (this.end + chunk.length > this.bytes.length || !this.#owned) {
      const grown = new Uint8Array(Math.max(1024, 2 * (this.size + chunk.length)));
      grown.set(this.bytes.subarray(this.start, this.end));
      this.end = this.size;
      this.start = 0;
      this.bytes = grown;
      this.#owned = true;
    }
    this.bytes.set(chunk, this.end);
    this.end += chunk.length;
  }

  /** Takes `length` bytes; they stay valid. */
  take(length: number): Uint8Array {
    const part = this.bytes.subarray(this.start, this.start + length);
    this.start += length;
    return part;
  }

  skip(length: number): void {
    this.start += length;
  }
}
