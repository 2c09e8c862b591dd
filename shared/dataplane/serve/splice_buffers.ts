/**
 * What a splice reads into. A read that waits holds its buffer, and most connections wait most of the
 * time: so a wait costs what its connection usually sends. Large buffers, which all splices share, go to
 * directions that fill them, and back as soon as a read leaves room.
 */

/** Bytes of the first read of a direction, and of its reads while little is sent. */
const LEAST = 512;
/** The most that a read waits with, unless what came before filled it to the last byte. */
const MOST_OWN = 64 * 1024;
/** Of a read after one that was filled: fewer reads cost less. */
const LARGE = 256 * 1024;
/** Large buffers of one data plane; who finds none left goes on with its own. */
const MOST_LARGE = 64;
/** From one size to the next. */
const STEP = 8;
/** A read that gave less than this share of its room has the next one with less. */
const SMALL_SHARE = 32;

/** The large buffers of a data plane. */
export class LargeBuffers {
  readonly #free: Uint8Array[] = [];
  readonly #onRefused: () => void;
  #out = 0;

  /** @param onRefused there was none left */
  constructor(onRefused: () => void) {
    this.#onRefused = onRefused;
  }

  take(): Uint8Array | null {
    if (this.#out >= MOST_LARGE) {
      this.#onRefused();
      return null;
    }
    this.#out++;
    return this.#free.pop() ?? new Uint8Array(LARGE);
  }

  /** Takes one back that nobody reads or writes any more. */
  give(buffer: Uint8Array): void {
    this.#out--;
    this.#free.push(buffer);
  }

  /** One will not come back: an operation may still be using it. */
  lose(): void {
    this.#out--;
  }
}

/** The buffer of one direction. */
export class SpliceBuffer {
  readonly #shared: LargeBuffers;
  #own: Uint8Array | null = null;
  #size = LEAST;
  #large: Uint8Array | null = null;
  #dropped = false;

  constructor(shared: LargeBuffers) {
    this.#shared = shared;
  }

  /** Where the next read goes to; what the last one gave is nobody's from now on. */
  room(): Uint8Array {
    if (this.#large !== null) return this.#large;
    if (this.#own?.length !== this.#size) this.#own = new Uint8Array(this.#size);
    return this.#own;
  }

  /** The last read gave `n` bytes, 0 at the end, and they have been passed on. */
  passed(n: number): void {
    if (this.#dropped) return;
    const large = this.#large;
    if (large !== null) {
      // Less than there was room for: nothing more waits to be read.
      if (n < large.length) {
        this.#large = null;
        this.#shared.give(large);
      }
    } else if (n === this.#size) {
      if (this.#size < MOST_OWN) this.#size = Math.min(this.#size * STEP, MOST_OWN);
      else this.#large = this.#shared.take();
    } else if (n < this.#size / SMALL_SHARE) {
      this.#size = Math.max(this.#size / STEP, LEAST);
    }
  }

  /** The connection is closed. Idempotent. */
  drop(): void {
    this.#dropped = true;
    this.#own = null;
    if (this.#large === null) return;
    this.#large = null;
    this.#shared.lose();
  }
}
