/** Memory for messages on their way out, used again and again: large ones would keep the collector busy. */

/** Bytes of one buffer: the largest whole body of an endpoint, and a head. */
const SIZE = 72 * 1024;
/** Below this, memory of its own costs as little. */
const LEAST = 4 * 1024;
/** Buffers kept; those beyond are left to the collector. */
const MOST_KEPT = 64;

export class WriteBuffers {
  readonly #free: Uint8Array[] = [];

  /** A buffer for `size` bytes; undefined when it should have memory of its own. */
  take(size: number): Uint8Array | undefined {
    if (size < LEAST || size > SIZE) return undefined;
    return this.#free.pop() ?? new Uint8Array(SIZE);
  }

  /** Takes a buffer back that nobody reads any more. */
  give(buffer: Uint8Array): void {
    if (this.#free.length < MOST_KEPT) this.#free.push(buffer);
  }
}

/**
 * Frees a whole body of an answer that has been copied, without waiting for the collector: memory
 * outside of its heap makes it collect all of it time and again. Measured with 16 KiB bodies: half
 * as many full collections.
 */
export function freeBody(body: Uint8Array): void {
  const { buffer } = body;
  // A view of something larger: others may still read that.
  if (body.length < LEAST || body.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
