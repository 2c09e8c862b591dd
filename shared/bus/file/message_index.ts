/** Which messages a stream holds, in order and by subject. What they say lies elsewhere. */
import { matchesFilter } from "./subject_filter.ts";
import type { Purge } from "./frames.ts";

/** What the index needs of an entry. */
export interface Indexed {
  readonly sequence: number;
  readonly time: number;
  readonly subject: string;
  /** Bytes that count against the stream's bound. */
  readonly size: number;
}

export class MessageIndex<E extends Indexed> {
  readonly #entries = new Map<number, E>();
  /** Sequences, rising; may hold some that are gone. */
  #order: number[] = [];
  /** Subject → sequences, rising. */
  readonly #subjects = new Map<string, number[]>();
  readonly #perSubject: number;
  lastSequence = 0;
  bytes = 0;

  /** @param perSubject messages kept of each subject; -1 = all */
  constructor(perSubject: number) {
    this.#perSubject = perSubject;
  }

  get size(): number {
    return this.#entries.size;
  }

  get firstSequence(): number {
    return this.#entries.keys().next().value ?? this.lastSequence + 1;
  }

  get(sequence: number): E | undefined {
    return this.#entries.get(sequence);
  }

  /** The newest of a subject. */
  last(subject: string): E | undefined {
    const sequence = this.#subjects.get(subject)?.at(-1);
    return sequence === undefined ? undefined : this.#entries.get(sequence);
  }

  /** Those of a filter from a sequence on, in order. */
  from(sequence: number, filter: string): E[] {
    if (sequence > this.lastSequence) return [];
    const exact = this.#subjects.get(filter);
    if (exact !== undefined) {
      return exact.flatMap((at) => at < sequence ? [] : this.#entries.get(at) ?? []);
    }
    const found: E[] = [];
    for (let at = this.#position(sequence); at < this.#order.length; at++) {
      const entry = this.#entries.get(this.#order[at] ?? 0);
      if (entry !== undefined && matchesFilter(filter, entry.subject)) found.push(entry);
    }
    return found;
  }

  /** Index in the order of the first sequence that is not below this one. */
  #position(sequence: number): number {
    let low = 0;
    for (let high = this.#order.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.#order[middle] ?? 0) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes an entry in, newer than all others; older ones of its subject go when there are too many. */
  add(entry: E): void {
    this.#entries.set(entry.sequence, entry);
    this.#order.push(entry.sequence);
    if (this.#order.length > 2 * this.#entries.size + 64) this.#order = [...this.#entries.keys()];
    this.bytes += entry.size;
    this.lastSequence = Math.max(this.lastSequence, entry.sequence);
    const sequences = this.#subjects.get(entry.subject) ?? [];
    sequences.push(entry.sequence);
    this.#subjects.set(entry.subject, sequences);
    if (this.#perSubject < 0) return;
    while (sequences.length > this.#perSubject) this.remove(sequences[0] ?? 0);
  }

  /** Puts an entry in the place of one with the same sequence. */
  replace(entry: E): void {
    if (this.#entries.has(entry.sequence)) this.#entries.set(entry.sequence, entry);
  }

  remove(sequence: number): void {
    const entry = this.#entries.get(sequence);
    if (entry === undefined) return;
    this.#entries.delete(sequence);
    this.bytes -= entry.size;
    const sequences = this.#subjects.get(entry.subject) ?? [];
    // In place: `add` holds on to the list. The oldest goes first, as a rule.
    sequences.splice(sequences.indexOf(sequence), 1);
    if (sequences.length === 0) this.#subjects.delete(entry.subject);
  }

  /** @returns how many went */
  purge({ filter, before }: Purge): number {
    const gone = this.from(0, filter).filter(({ sequence }) => sequence < before);
    for (const { sequence } of gone) this.remove(sequence);
    return gone.length;
  }

  values(): Iterable<E> {
    return this.#entries.values();
  }
}
