/**
 * Follows DNS names: asks again when the answer's time to live is over, keeps the last good answer
 * when asking fails, and tells when the addresses behind a name are others.
 */
import { backoff } from "../../lib/backoff.ts";

/** One address of a name and how long it may be used, seconds. */
export interface NameRecord {
  address: string;
  ttl: number;
}

/** Asks for the addresses of a name. Rejects when there are none, or nobody answers. */
export type Lookup = (name: string) => Promise<NameRecord[]>;

export interface NameResolverOptions {
  lookup: Lookup;
  /** In [0, 1): spreads the questions of many proxies. */
  random: () => number;
  /** The addresses behind a name are others now. */
  onChange: (name: string) => void;
  /** A question was not answered; the last good answer stays. */
  onFailure?: (name: string, error: unknown) => void;
}

/** Seconds: an answer is used at least and at most so long, whatever its time to live. */
const TTL = { min: 1, max: 300 };
/** Milliseconds between questions that fail. */
const RETRY = { initial: 1_000, max: 30_000 };
/** More are resolved at connect time only. */
const MAX_NAMES = 10_000;

interface Followed {
  /** How many endpoints name it. */
  uses: number;
  /** Sorted; undefined = never resolved. */
  addresses: readonly string[] | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
  failures: number;
}

export class NameResolver {
  readonly #options: NameResolverOptions;
  readonly #names = new Map<string, Followed>();
  #closed = false;

  constructor(options: NameResolverOptions) {
    this.#options = options;
  }

  /** Follows a name from now on; every call wants one {@linkcode NameResolver.unfollow}. */
  follow(name: string): void {
    const known = this.#names.get(name);
    if (known !== undefined) {
      known.uses++;
      return;
    }
    if (this.#names.size >= MAX_NAMES || this.#closed) return;
    const followed = { uses: 1, addresses: undefined, timer: undefined, failures: 0 };
    this.#names.set(name, followed);
    void this.#ask(name, followed);
  }

  unfollow(name: string): void {
    const followed = this.#names.get(name);
    if (followed === undefined || --followed.uses > 0) return;
    clearTimeout(followed.timer);
    this.#names.delete(name);
  }

  /** The last good answer, sorted; undefined when there never was one. */
  addresses(name: string): readonly string[] | undefined {
    return this.#names.get(name)?.addresses;
  }

  /** Every followed name with its addresses, for dumps. */
  entries(): [string, readonly string[]][] {
    return [...this.#names].map(([name, { addresses }]) => [name, addresses ?? []]);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#names.values()) clearTimeout(timer);
    this.#names.clear();
  }

  async #ask(name: string, followed: Followed): Promise<void> {
    const { lookup, random, onChange, onFailure } = this.#options;
    let wait: number;
    try {
      const records = await lookup(name);
      if (records.length === 0) throw new Error(`${name} has no address`);
      followed.failures = 0;
      const ttl = Math.min(...records.map(({ ttl }) => ttl));
      wait = Math.min(Math.max(ttl, TTL.min), TTL.max) * 1000;
      const addresses = [...new Set(records.map(({ address }) => address))].sort();
      const other = addresses.join() !== followed.addresses?.join();
      followed.addresses = addresses;
      if (other && this.#names.get(name) === followed) onChange(name);
    } catch (error) {
      wait = backoff(followed.failures++, { ...RETRY, random });
      onFailure?.(name, error);
    }
    if (this.#closed || this.#names.get(name) !== followed) return;
    followed.timer = setTimeout(() => void this.#ask(name, followed), wait);
  }
}
