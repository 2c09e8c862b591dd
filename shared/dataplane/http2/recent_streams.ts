/** Which streams ended not long ago, and how: what may still arrive for them depends on it. */

/** Kept apart from the others, so that a busy connection does not forget them at once. */
const RESETS = 256;
const DONE = 64;

/** How a stream ended. */
export type StreamEnd =
  /** Reset by us: whatever was under way is ignored. */
  | "reset"
  /** Complete, or reset by the peer, which will not send any more. */
  | "done"
  /** Longer ago, or never used. */
  | "unknown";

export class RecentStreams {
  readonly #resets = new Int32Array(RESETS);
  readonly #done = new Int32Array(DONE);
  #nextReset = 0;
  #nextDone = 0;

  addReset(stream: number): void {
    this.#resets[this.#nextReset] = stream;
    this.#nextReset = (this.#nextReset + 1) % RESETS;
  }

  addDone(stream: number): void {
    this.#done[this.#nextDone] = stream;
    this.#nextDone = (this.#nextDone + 1) % DONE;
  }

  endOf(stream: number): StreamEnd {
    if (this.#resets.includes(stream)) return "reset";
    return this.#done.includes(stream) ? "done" : "unknown";
  }
}
