/**
 * An immutable map whose successor costs what changed, not what it holds: a reader keeps the last
 * good snapshot while it verifies the next, and neither copies the other.
 */

type Shard<V> = ReadonlyMap<string, V>;

/** Entries per shard that a fresh map aims at. */
const SHARD_ENTRIES = 16;

/** Implements `ReadonlyMap`; iteration order is unspecified. */
export class ResourceMap<V> implements ReadonlyMap<string, V> {
  readonly #shards: readonly Shard<V>[];
  readonly size: number;

  private constructor(shards: readonly Shard<V>[], size: number) {
    this.#shards = shards;
    this.size = size;
  }

  /** A map of `entries`; a later entry with the same key wins. */
  static from<V>(entries: Iterable<readonly [string, V]>): ResourceMap<V> {
    const all = new Map(entries);
    const count = 2 ** Math.ceil(Math.log2(Math.max(1, all.size / SHARD_ENTRIES)));
    const shards = Array.from({ length: count }, () => new Map<string, V>());
    for (const [key, value] of all) shards[shardOf(key, count)]?.set(key, value);
    return new ResourceMap(shards, all.size);
  }

  /** The map with `set` put in and `deleted` taken out. */
  with(set: Iterable<readonly [string, V]>, deleted: Iterable<string>): ResourceMap<V> {
    const shards = this.#shards.slice();
    const copies = new Map<number, Map<string, V>>();
    let size = this.size;
    const writable = (key: string): Map<string, V> => {
      const index = shardOf(key, shards.length);
      let copy = copies.get(index);
      if (copy === undefined) {
        copy = new Map(shards[index]);
        copies.set(index, copy);
        shards[index] = copy;
      }
      return copy;
    };
    for (const key of deleted) if (writable(key).delete(key)) size--;
    for (const [key, value] of set) {
      const shard = writable(key);
      if (!shard.has(key)) size++;
      shard.set(key, value);
    }
    const next = new ResourceMap(shards, size);
    // Shards that have grown fourfold would make every later change dearer: spread them again.
    return size > shards.length * SHARD_ENTRIES * 4 ? ResourceMap.from(next) : next;
  }

  /**
   * Keys whose values are not the same object in both maps. Costs what lies between the two when
   * one was made of the other, else what both hold.
   */
  changedSince(before: ResourceMap<V>): Set<string> {
    const changed = new Set<string>();
    const compare = (old: ReadonlyMap<string, V>, now: ReadonlyMap<string, V>) => {
      for (const [key, value] of now) {
        if (old.get(key) !== value || (value === undefined && !old.has(key))) changed.add(key);
      }
      for (const key of old.keys()) if (!now.has(key)) changed.add(key);
    };
    if (this.#shards.length !== before.#shards.length) compare(before, this);
    else {
      for (const [index, shard] of this.#shards.entries()) {
        const old = before.#shards[index];
        if (old !== undefined && old !== shard) compare(old, shard);
      }
    }
    return changed;
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key, this.#shards.length)]?.get(key);
  }

  has(key: string): boolean {
    return this.#shards[shardOf(key, this.#shards.length)]?.has(key) ?? false;
  }

  forEach(callback: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) callback(value, key, this);
  }

  *entries(): MapIterator<[string, V]> {
    for (const shard of this.#shards) yield* shard.entries();
  }

  *keys(): MapIterator<string> {
    for (const shard of this.#shards) yield* shard.keys();
  }

  *values(): MapIterator<V> {
    for (const shard of this.#shards) yield* shard.values();
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }
}

/** FNV-1a over the code units; `count` is a power of two. */
function shardOf(key: string, count: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) & (count - 1);
}
