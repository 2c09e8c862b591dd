/** The next form of an immutable map, while it is being worked out. */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";

export class Draft<V> {
  readonly #base: ResourceMap<V>;
  readonly #set = new Map<string, V>();
  readonly #deleted = new Set<string>();

  constructor(base: ResourceMap<V>) {
    this.#base = base;
  }

  /** Sets a value; undefined takes it out. */
  put(key: string, value: V | undefined): void {
    this.#set.delete(key);
    this.#deleted.delete(key);
    const known = this.#base.get(key);
    if (known === value) return;
    if (value === undefined) this.#deleted.add(key);
    else this.#set.set(key, value);
  }

  /** The value as it is so far. */
  get(key: string): V | undefined {
    return this.#set.get(key) ?? (this.#deleted.has(key) ? undefined : this.#base.get(key));
  }

  get changed(): boolean {
    return this.#set.size > 0 || this.#deleted.size > 0;
  }

  /** The map; the one that it began with when nothing is different. */
  done(): ResourceMap<V> {
    return this.changed ? this.#base.with(this.#set, this.#deleted) : this.#base;
  }
}
