/** A clock that tests move: nothing waits for the machine's. */
import type { Clock } from "./clock.ts";

interface Waiting {
  due: number;
  resolve: () => void;
}

export interface TestingClockOptions {
  /** Every wait is over at once, and time goes on by it. Default: waits end when time is moved. */
  instant?: boolean;
  /** Called when somebody begins to wait. */
  onDelay?: (milliseconds: number) => void;
}

export class TestingClock implements Clock {
  readonly #options: TestingClockOptions;
  readonly #waiting = new Set<Waiting>();
  #now = 1_000_000;
  /** Every wait that was asked for, milliseconds. */
  readonly delays: number[] = [];

  constructor(options: TestingClockOptions = {}) {
    this.#options = options;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  /** Milliseconds until the next wait ends; undefined = nobody waits. */
  get next(): number | undefined {
    const first = Math.min(...[...this.#waiting].map(({ due }) => due));
    return first === Infinity ? undefined : first - this.#now;
  }

  delay(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    this.delays.push(ms);
    if (this.#options.instant) {
      this.#now += ms;
      this.#options.onDelay?.(ms);
      // Through the event loop, so that a circle of waits starves nobody.
      return new Promise((resolve) => setTimeout(resolve, 0));
    }
    return new Promise((resolve, reject) => {
      const waiting = {
        due: this.#now + ms,
        resolve: () => {
          this.#waiting.delete(waiting);
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#waiting.delete(waiting);
        reject(signal?.reason);
      };
      this.#waiting.add(waiting);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#options.onDelay?.(ms);
    });
  }

  /** Moves time: waits that are over by then end, in their order. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
    for (const waiting of [...this.#waiting].sort((a, b) => a.due - b.due)) {
      if (waiting.due <= this.#now) waiting.resolve();
    }
  }
}
