/** Single objects that are followed because something refers to them: never more than those. */
import type { Clock } from "../../../shared/lib/clock.ts";
import type { KindRow } from "../kinds.ts";
import { KINDS } from "../kinds.ts";
import type { KindCollection } from "./kind_collection.ts";

export interface FollowedOptions {
  /** Starts to follow one object; `synced` is called when it, or its absence, was told. */
  open: (
    row: KindRow,
    place: { namespace: string; name: string },
    synced: () => void,
  ) => Pick<KindCollection, "close" | "drop">;
  onCount: (count: number) => void;
  clock: Clock;
}

/** Milliseconds that a compile waits for what it refers to; what comes later is a change. */
const PATIENCE = 2_000;
/** Objects followed at once, each by a connection; more are not read, and say so by being absent. */
const MOST = 10_000;

interface Entry {
  collection: Pick<KindCollection, "close" | "drop">;
  whenTold: Promise<void>;
}

export class Followed {
  readonly #options: FollowedOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #closing = new Set<Promise<void>>();
  readonly #ended = new AbortController();

  constructor(options: FollowedOptions) {
    this.#options = options;
  }

  /** As `KubernetesSource.follow`. */
  follow(keys: ReadonlySet<string>): Promise<void> | undefined {
    const { onCount, clock } = this.#options;
    if (this.#ended.signal.aborted) return undefined;
    // First what is left, so that a full house has room for what is new.
    for (const [key, { collection }] of this.#entries) {
      if (keys.has(key)) continue;
      this.#entries.delete(key);
      collection.drop();
      const closed = collection.close();
      this.#closing.add(closed);
      void closed.finally(() => this.#closing.delete(closed));
    }
    const fresh: Promise<void>[] = [];
    for (const key of keys) {
      if (this.#entries.has(key) || this.#entries.size >= MOST) continue;
      const entry = this.#start(key);
      if (entry === undefined) continue;
      this.#entries.set(key, entry);
      fresh.push(entry.whenTold);
    }
    onCount(this.#entries.size);
    if (fresh.length === 0) return undefined;
    const { signal } = this.#ended;
    const patience = new AbortController();
    const late = clock.delay(PATIENCE, AbortSignal.any([signal, patience.signal])).catch(() => {});
    return Promise.race([Promise.all(fresh), late]).then(() => patience.abort());
  }

  async close(): Promise<void> {
    this.#ended.abort();
    const open = [...this.#entries.values()].map(({ collection }) => collection.close());
    this.#entries.clear();
    await Promise.all([...open, ...this.#closing]);
  }

  #start(key: string): Entry | undefined {
    const [kind, namespace = "", name = ""] = key.split("/");
    const row = KINDS.find((entry) => entry.kind === kind);
    if (row === undefined) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    return {
      whenTold: promise,
      collection: this.#options.open(row, { namespace, name }, resolve),
    };
  }
}
