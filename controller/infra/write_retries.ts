/**
 * Which writes wait after they failed: each object by itself, so that one that is refused for ever
 * keeps no other from being written.
 */
import { backoff } from "../../shared/lib/backoff.ts";

interface Failure {
  count: number;
  /** Monotonic milliseconds before which it is not tried again. */
  until: number;
}

export interface WriteRetriesOptions {
  /** Monotonic milliseconds. */
  now: () => number;
  random: () => number;
}

export class WriteRetries {
  readonly #options: WriteRetriesOptions;
  /** By object; as many as there are writes that fail. */
  readonly #failures = new Map<string, Failure>();

  constructor(options: WriteRetriesOptions) {
    this.#options = options;
  }

  /** May the object be written now? */
  ready(key: string): boolean {
    const failure = this.#failures.get(key);
    return failure === undefined || failure.until <= this.#options.now();
  }

  failed(key: string): void {
    const { now, random } = this.#options;
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const wait = backoff(count - 1, { initial: 100, max: 10_000, random });
    this.#failures.set(key, { count, until: now() + wait });
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }

  /** Forgets all but these: nothing else is to be written any more. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#failures.keys()) if (!keys.has(key)) this.#failures.delete(key);
  }

  /** Milliseconds until something may be tried again; undefined = nothing waits. */
  get next(): number | undefined {
    const first = Math.min(...[...this.#failures.values()].map(({ until }) => until));
    return first === Infinity ? undefined : Math.max(0, first - this.#options.now());
  }
}
