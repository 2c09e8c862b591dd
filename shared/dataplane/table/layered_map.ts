/**
 * An immutable map for tables: as fast to read as a `Map`, and its successor costs what changed. A
 * few changes lie above a base that many successors share; when they become many, a new base is
 * made of both.
 */

/** Changes above a base; more of them make a new base. */
const MAX_CHANGES = 64;
const GONE: unique symbol = Symbol("gone");

export class LayeredMap<V> {
  readonly #base: ReadonlyMap<string, V>;
  readonly #changes: ReadonlyMap<string, V | typeof GONE>;
  readonly size: number;

  private constructor(
    parts: {
      base: ReadonlyMap<string, V>;
      changes: ReadonlyMap<string, V | typeof GONE>;
      size: number;
    },
  ) {
    this.#base = parts.base;
    this.#changes = parts.changes;
    this.size = parts.size;
  }

  /** The map of some entries, which the caller gives away. */
  static of<V>(base: ReadonlyMap<string, V>): LayeredMap<V> {
    return new LayeredMap({ base, changes: new Map(), size: base.size });
  }

  get(key: string): V | undefined {
    if (this.#changes.size > 0) {
      const change = this.#changes.get(key);
      if (change !== undefined) return change === GONE ? undefined : change;
    }
    return this.#base.get(key);
  }

  /** The map with other values; undefined takes a key out. */
  with(values: ReadonlyMap<string, V | undefined>): LayeredMap<V> {
    if (values.size === 0) return this;
    if (this.#changes.size + values.size > MAX_CHANGES) {
      const base = new Map(this.entries());
      for (const [key, value] of values) {
        if (value === undefined) base.delete(key);
        else base.set(key, value);
      }
      return LayeredMap.of(base);
    }
    const changes = new Map(this.#changes);
    let size = this.size;
    for (const [key, value] of values) {
      if (this.get(key) !== undefined) size--;
      if (value !== undefined) size++;
      changes.set(key, value === undefined ? GONE : value);
    }
    return new LayeredMap({ base: this.#base, changes, size });
  }

  *entries(): Generator<[string, V]> {
    for (const entry of this.#base) if (!this.#changes.has(entry[0])) yield entry;
    for (const [key, value] of this.#changes) if (value !== GONE) yield [key, value];
  }

  *values(): Generator<V> {
    for (const [, value] of this.entries()) yield value;
  }
}
