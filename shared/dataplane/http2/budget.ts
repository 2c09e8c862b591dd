/** How much a peer may ask for that costs it nothing. */
import type { Clock } from "../../lib/clock.ts";

export interface BudgetOptions {
  /** What may come at once. */
  burst: number;
  /** What comes back per second. */
  perSecond: number;
  clock: Pick<Clock, "monotonic">;
}

/** A bucket of tokens that asks for the time only when it is empty. */
export class Budget {
  #tokens: number;
  #since: number;
  readonly #options: BudgetOptions;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#since = options.clock.monotonic();
  }

  /** Takes one; false when there is none left. */
  spend(): boolean {
    if (this.#tokens < 1) this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Gives some back, for what the peer did that deserves an answer; never above the burst. */
  earn(tokens: number): void {
    this.#tokens = Math.min(this.#options.burst, this.#tokens + tokens);
  }

  #refill(): void {
    const { burst, perSecond, clock } = this.#options;
    const now = clock.monotonic();
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#since) / 1000 * perSecond);
    this.#since = now;
  }
}
