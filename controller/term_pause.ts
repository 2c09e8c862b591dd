/** How long a controller that lost its office waits before it runs for it again. */
import { backoff } from "../shared/lib/backoff.ts";

/** Milliseconds after which a term counts as a good one. */
const GOOD_TERM = 60_000;

/**
 * Two controllers that do not know of each other, as with two clusters on one bus, depose each other
 * at once: each term publishes everything, so they must not take turns at full speed.
 */
export class TermPause {
  readonly #random: () => number;
  #short = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Milliseconds to wait after a term that took so many. */
  after(lasted: number): number {
    this.#short = lasted >= GOOD_TERM ? 0 : this.#short + 1;
    if (this.#short === 0) return 0;
    return backoff(this.#short - 1, { initial: 100, max: 10_000, random: this.#random });
  }
}
