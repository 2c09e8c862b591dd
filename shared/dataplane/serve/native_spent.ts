/**
 * Frees whole answer bodies as soon as Deno's engine has them, without waiting for the garbage
 * collector: memory outside of its heap makes it collect the whole heap time and again. Measured
 * with 16 KiB bodies: half as many full collections, 10 % less CPU per request.
 */

/** Below this, letting go costs as much as it gains. */
const LEAST_BYTES = 4 * 1024;
/** Beyond this many, bodies are left to the collector. */
const MOST_HELD = 256;

/**
 * Bodies that were answered in this turn of the event loop. The engine takes an answer over in the
 * microtasks that follow the handler's promise, hence before any timer fires; from then on it
 * counts its own reference to the bytes, and only JavaScript loses its view of them.
 */
export class SpentBodies {
  #held: Uint8Array<ArrayBuffer>[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Call it in the turn in which the answer is returned to the engine, which must not be awaited. */
  add(body: Uint8Array<ArrayBuffer>): void {
    // A view of something larger: others may still read that.
    if (body.length < LEAST_BYTES || body.length !== body.buffer.byteLength) return;
    if (this.#held.length >= MOST_HELD) return;
    this.#held.push(body);
    this.#timer ??= setTimeout(() => this.#free(), 0);
  }

  /** Leaves what is held to the collector. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held = [];
  }

  #free(): void {
    this.#timer = undefined;
    for (const { buffer } of this.#held) buffer.transfer(0);
    this.#held.length = 0;
  }
}
