/** The first bytes of a connection, held back until it is known whose they are. */

const LEAST = 1024;

/**
 * One piece, as it mostly is, is kept as it came. Of several the bytes are copied together: a client
 * that sends each byte by itself must not have an object kept for each.
 */
export class HeldBytes {
  #bytes: Uint8Array | null = null;
  #length = 0;
  /** `#bytes` is ours to write into. */
  #own = false;

  push(bytes: Uint8Array): void {
    if (this.#bytes === null) {
      this.#bytes = bytes;
      this.#length = bytes.length;
      return;
    }
    const needed = this.#length + bytes.length;
    if (!this.#own || needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(LEAST, needed, this.#length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
      this.#own = true;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = needed;
  }

  /** All of it, in order; the caller's from now on. */
  take(): Uint8Array {
    const all = this.#bytes?.subarray(0, this.#length) ?? new Uint8Array();
    this.#bytes = null;
    this.#length = 0;
    this.#own = false;
    return all;
  }
}
