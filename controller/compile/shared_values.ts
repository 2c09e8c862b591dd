/** Values that several results name, such as the backend of many routes: there while one does. */

export class SharedValues<V> {
  readonly #entries = new Map<string, { value: V; uses: number }>();
  /** What was there when {@linkcode SharedValues.take} was last called. */
  readonly #before = new Map<string, V | undefined>();

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** One more result names it. Of several values for one key the last counts. */
  add(key: string, value: V): void {
    this.#touch(key);
    const uses = (this.#entries.get(key)?.uses ?? 0) + 1;
    this.#entries.set(key, { value, uses });
  }

  /** One less result names it. */
  remove(key: string): void {
    this.#touch(key);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.uses <= 1) this.#entries.delete(key);
    else entry.uses--;
  }

  #touch(key: string): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#entries.get(key)?.value);
  }

  /** Every key that was added or removed since the last call, with what it was then. */
  take(): Map<string, V | undefined> {
    const taken = new Map(this.#before);
    this.#before.clear();
    return taken;
  }
}
