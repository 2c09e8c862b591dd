/** Memory for messages on their way out, used again and again: new memory for each keeps the collector busy. */

/** Bytes of a buffer: most answers, and the largest whole body of an endpoint with its head. */
const SIZES = [4 * 1024, 72 * 1024] as const;
/** Buffers of each size that are kept; those beyond are left to the collector. */
const MOST_KEPT = 64;
/** Below this, giving memory back by hand costs as much as it gains. */
const LEAST_FREED = 4 * 1024;

export class WriteBuffers {
  readonly #free: readonly Uint8Array[][] = SIZES.map(() => []);

  /** A buffer for at least `size` bytes; undefined when that is too large to be shared. */
  take(size: number): Uint8Array | undefined {
    for (let i = 0; i < SIZES.length; i++) {
      if (size <= SIZES[i]!) return this.#free[i]!.pop() ?? new Uint8Array(SIZES[i]!);
    }
    return undefined;
  }

  /** Takes a buffer back that nobody reads any more. */
  give(buffer: Uint8Array): void {
    const free = this.#free[buffer.length === SIZES[0] ? 0 : 1]!;
    if (free.length < MOST_KEPT) free.push(buffer);
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
  if (body.length < LEAST_FREED || body.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
