/** Starts a process again when it ends without being asked to. */
import { backoff } from "../../shared/lib/backoff.ts";
import type { Clock } from "../../shared/lib/clock.ts";
import { errorMessage } from "../../shared/lib/log.ts";

/** Anything that runs until it ends. */
export interface Running {
  readonly exited: Promise<unknown>;
  stop(): Promise<void>;
}

export interface KeepAliveOptions<T extends Running> {
  name: string;
  start: () => Promise<T>;
  clock: Clock;
  onEvent: (message: string) => void;
}

/** Milliseconds after which a process counts as running well. */
const SETTLED = 10_000;

/** A process that is kept running. */
export class KeptAlive<T extends Running> {
  readonly #options: KeepAliveOptions<T>;
  readonly #stopping = new AbortController();
  #current: T;
  #startedAt: number;
  #quickEnds = 0;
  #supervision: Promise<void>;
  #restarted: PromiseWithResolvers<T> = Promise.withResolvers();
  /** While it is pending, an ended process stays away. */
  #held: Promise<void> = Promise.resolve();

  private constructor(options: KeepAliveOptions<T>, first: T) {
    this.#options = options;
    this.#current = first;
    this.#startedAt = options.clock.monotonic();
    this.#supervision = this.#supervise();
  }

  /** Starts it for the first time; rejects when that fails. */
  static async start<T extends Running>(options: KeepAliveOptions<T>): Promise<KeptAlive<T>> {
    return new KeptAlive(options, await options.start());
  }

  get current(): T {
    return this.#current;
  }

  /** Resolves with the next process after the current one ended. */
  get restarted(): Promise<T> {
    return this.#restarted.promise;
  }

  /** Ends the current process and keeps it away until `release` is called or this is stopped. */
  async hold(): Promise<{ release(): void }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopping.signal.addEventListener("abort", () => resolve(), { once: true });
    this.#held = promise;
    await this.#current.stop();
    return { release: resolve };
  }

  /** From now on it is not started again. */
  letGo(): void {
    this.#stopping.abort();
  }

  async stop(): Promise<void> {
    this.letGo();
    await this.#current.stop();
    await this.#supervision;
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#current.exited;
      await this.#held;
      await this.#startAgain();
    }
  }

  async #startAgain(): Promise<void> {
    const { name, start, clock, onEvent } = this.#options;
    const { signal } = this.#stopping;
    // One that ends again right after its start waits longer and longer.
    const lived = clock.monotonic() - this.#startedAt;
    this.#quickEnds = lived < SETTLED ? this.#quickEnds + 1 : 0;
    for (let attempt = this.#quickEnds; !signal.aborted; attempt++) {
      onEvent(`${name} ended; starting it again`);
      await clock.delay(backoff(attempt, { initial: 100, max: 5_000 }), signal).catch(() => {});
      if (signal.aborted) return;
      try {
        this.#current = await start();
        this.#startedAt = clock.monotonic();
        if (signal.aborted) await this.#current.stop();
        const { resolve } = this.#restarted;
        this.#restarted = Promise.withResolvers();
        resolve(this.#current);
        return;
      } catch (error) {
        onEvent(`${name} did not start: ${errorMessage(error)}`);
      }
    }
  }
}
