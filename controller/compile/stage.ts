/**
 * The results of one kind of object, from one compile to the next: an object is looked at again
 * when it changed itself, or when something did that was read for it.
 */
import type { Kind, ObjectByKind } from "../model/objects.ts";
import { type Reads, recordReads, References, type Referred } from "../store/references.ts";
import type { ClusterView, StoredView } from "../store/view.ts";

/** A result as it was and as it is; absent = there is none. */
export interface ResultChange<R> {
  /** Object key. */
  key: string;
  before: R | undefined;
  after: R | undefined;
}

/** Told how much work there was; has no influence on results. */
export interface StageObserver {
  /** Monotonic milliseconds. */
  now(): number;
  /** So many objects of a kind were decided anew, in so many milliseconds. */
  decided(kind: Kind, work: { count: number; milliseconds: number }): void;
}

/** What an object is decided in. */
export interface StageContext {
  view: ClusterView;
  reads: Reads;
}

export interface StageOptions<K extends Kind, R> {
  kind: K;
  /** Reads through `view` are recorded; what else is read has to be told to `reads`. */
  make: (object: ObjectByKind[K], context: StageContext) => R | undefined;
  observer?: StageObserver;
  /** Counts what is referred to. */
  referred?: Referred;
}

export class Stage<K extends Kind, R> {
  readonly #options: StageOptions<K, R>;
  readonly #references: References;
  readonly #results = new Map<string, R>();

  constructor(options: StageOptions<K, R>) {
    this.#options = options;
    this.#references = new References(options.referred);
  }

  /** The result of an object, by its key. */
  get(key: string): R | undefined {
    return this.#results.get(key);
  }

  results(): Iterable<[string, R]> {
    return this.#results;
  }

  /** Brings the results up to a view in which the answers of the `touched` reads are new. */
  update(view: StoredView, touched: ReadonlySet<string>): ResultChange<R>[] {
    const { kind, observer } = this.#options;
    const began = observer?.now() ?? 0;
    const due = this.#references.readersOf(touched);
    const own = `${kind}/`;
    for (const name of touched) if (name.startsWith(own)) due.add(name);
    const changes: ResultChange<R>[] = [];
    for (const key of due) {
      const before = this.#results.get(key);
      const after = this.#make(view, key);
      if (after === undefined) this.#results.delete(key);
      else this.#results.set(key, after);
      if (before !== after) changes.push({ key, before, after });
    }
    if (observer !== undefined && due.size > 0) {
      observer.decided(kind, { count: due.size, milliseconds: observer.now() - began });
    }
    return changes;
  }

  #make(view: StoredView, key: string): R | undefined {
    const { kind, make } = this.#options;
    const [, namespace = "", name = ""] = key.split("/");
    const object = view.get(kind, namespace, name);
    if (object === undefined) {
      this.#references.forget(key);
      return undefined;
    }
    const names = new Set<string>();
    const reads: Reads = (read) => void names.add(read);
    const result = make(object, { view: recordReads(view, reads), reads });
    this.#references.record(key, names);
    return result;
  }
}
