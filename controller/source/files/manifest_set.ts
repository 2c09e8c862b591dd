/**
 * The objects of a set of manifest files, kept as an API server would keep them: pure state without
 * I/O. Files come in one by one; {@linkcode ManifestSet.take} gives what changed.
 *
 * A file that cannot be read whole deletes nothing: objects that were in it stay in their last good
 * form until the file is well-formed without them.
 */
import { createHash } from "node:crypto";
import {
  keyOf,
  type KubeObject,
  type Labels,
  type Namespace,
  objectKey,
} from "../../model/objects.ts";
import type { Batch, Problem } from "../batch.ts";
import { contentSignature } from "../kinds.ts";
import { CrdSet } from "../schema/crd_set.ts";
import { parseManifest } from "./manifest.ts";
import { readObjects } from "./read_object.ts";
import { objectUid } from "./uid.ts";

interface Entry {
  object: KubeObject;
  signature: string;
  created?: number;
  place: () => Problem;
}

interface FileState {
  entries: Map<string, Entry>;
  problems: Problem[];
}

interface Emitted {
  object: KubeObject;
  signature: string;
}

export interface SetFileOptions {
  /**
   * `hold`: objects that the text no longer has stay for now, because a file that is being written
   * looks like a file with fewer objects. `apply`: they go.
   */
  removals: "hold" | "apply";
}

/** What is remembered of an object between runs. */
export interface Remembered {
  generation: number;
  /** Seconds since the epoch. */
  created: number;
  /** Hash of the content. */
  content: string;
}

/** An object and what is to be remembered of it; undefined when it is gone. */
export type RememberedChange = readonly [key: string, remembered: Remembered | undefined];

export interface ManifestSetOptions {
  /** Milliseconds since the epoch: the age of objects without creationTimestamp. */
  now: () => number;
  /** What an earlier run remembered; generations and ages go on from there. */
  known?: ReadonlyMap<string, Remembered>;
}

export class ManifestSet {
  readonly #now: () => number;
  readonly #files = new Map<string, FileState>();
  /** Object key → files that have it. */
  readonly #owners = new Map<string, Set<string>>();
  readonly #emitted = new Map<string, Emitted>();
  /** Namespace → number of object keys in it. */
  readonly #namespaces = new Map<string, number>();
  readonly #dirty = new Set<string>();
  /** Files that have problems. */
  readonly #troubled = new Set<string>();
  /** Object keys that several files have. */
  readonly #repeated = new Set<string>();
  /** Object keys of which something is to be remembered that was not told yet. */
  readonly #unremembered = new Set<string>();

  readonly #known: ReadonlyMap<string, Remembered>;
  readonly #crds = new CrdSet();

  constructor(options: ManifestSetOptions) {
    this.#now = options.now;
    this.#known = options.known ?? new Map();
  }

  /**
   * What a later run needs to count on, as far as it is new since the last call: pass all of it as
   * `known`. Without Secrets, because it is written to disk and even a hash of a Secret has no place
   * there; nothing counts their generations.
   */
  takeRemembered(): RememberedChange[] {
    const changes = [...this.#unremembered].map((key): RememberedChange => {
      const emitted = this.#emitted.get(key);
      if (emitted === undefined) return [key, undefined];
      const { generation, created } = emitted.object.meta;
      return [key, { generation, created, content: hashOf(emitted.signature) }];
    });
    this.#unremembered.clear();
    return changes;
  }

  /** Names of the files that are there. */
  files(): string[] {
    return [...this.#files.keys()];
  }

  /** Takes the text of a file. Returns true when removals were held back. */
  setFile(file: string, text: string, options: SetFileOptions): boolean {
    const previous = this.#files.get(file)?.entries ?? new Map<string, Entry>();
    const state: FileState = { entries: new Map(), problems: [] };
    const manifest = parseManifest(text);
    for (const error of manifest.errors) {
      state.problems.push({ severity: "error", file, ...error });
    }
    let unreadable = manifest.errors.length > 0;
    for (const document of manifest.documents) {
      for (
        const read of readObjects(document, {
          file,
          problems: state.problems,
          crds: this.#crds,
        })
      ) {
        switch (read.kind) {
          case "object":
            this.#add(state, read.key, {
              object: read.object,
              signature: contentSignature(read.object),
              place: read.place,
              ...(read.created === undefined ? {} : { created: read.created }),
            });
            break;
          case "invalid": {
            const good = previous.get(read.key);
            if (good !== undefined && !state.entries.has(read.key)) {
              state.entries.set(read.key, good);
            }
            break;
          }
          case "unknown":
            unreadable = true;
            break;
          case "ignored":
            break;
        }
      }
    }
    const missing = [...previous].filter(([key]) => !state.entries.has(key));
    const keep = unreadable || options.removals === "hold";
    if (keep) { for (const [key, entry] of missing) state.entries.set(key, entry); }
    this.#replace(file, state);
    return !unreadable && options.removals === "hold" && missing.length > 0;
  }

  /** A file could not be read: its objects stay, the problem is reported. */
  setUnreadable(file: string, message: string): void {
    const entries = this.#files.get(file)?.entries ?? new Map<string, Entry>();
    const problem: Problem = { severity: "error", file, line: 1, column: 1, message };
    this.#replace(file, { entries, problems: [problem] });
  }

  /** A file is gone, and its objects with it. */
  removeFile(file: string): void {
    this.#replace(file, undefined);
  }

  /** What changed since the last call. */
  take(): Batch {
    const batch: Batch = { upserts: [], deletes: [], problems: this.#problems() };
    for (const key of [...this.#dirty].sort()) {
      const entry = this.#effective(key);
      const previous = this.#emitted.get(key);
      if (entry === undefined) {
        if (previous !== undefined) batch.deletes.push(key);
        this.#emitted.delete(key);
        this.#remember(key);
        continue;
      }
      const next = this.#stored(entry, previous);
      if (next === previous) continue;
      this.#emitted.set(key, next);
      this.#remember(key);
      batch.upserts.push(next.object);
    }
    this.#dirty.clear();
    return batch;
  }

  #remember(key: string): void {
    if (!key.startsWith("Secret/")) this.#unremembered.add(key);
  }

  /** Counts generations and ages as an API server does. */
  #stored(entry: Entry, previous: Emitted | undefined): Emitted {
    const { object, signature } = entry;
    const remembered = this.#known.get(keyOf(object));
    const before = previous?.object.meta ?? remembered;
    const same = previous === undefined
      ? remembered !== undefined && remembered.content === hashOf(signature)
      : previous.signature === signature;
    const created = entry.created ?? before?.created ?? Math.floor(this.#now() / 1000);
    if (
      previous !== undefined && same && created === previous.object.meta.created &&
      sameLabels(object.meta.labels, previous.object.meta.labels)
    ) return previous;
    const generation = before === undefined ? 1 : before.generation + (same ? 0 : 1);
    return { signature, object: { ...object, meta: { ...object.meta, created, generation } } };
  }

  #add(state: FileState, key: string, entry: Entry): void {
    const first = state.entries.get(key);
    if (first === undefined) return void state.entries.set(key, entry);
    const message = `is there twice; the one at line ${first.place().line} counts`;
    state.problems.push({ ...entry.place(), message });
  }

  #replace(file: string, state: FileState | undefined): void {
    const before = this.#files.get(file)?.entries ?? new Map<string, Entry>();
    const after = state?.entries ?? new Map<string, Entry>();
    if (state === undefined) this.#files.delete(file);
    else this.#files.set(file, state);
    if (state !== undefined && state.problems.length > 0) this.#troubled.add(file);
    else this.#troubled.delete(file);
    for (const [key, entry] of before) {
      if (after.get(key) === entry) continue;
      this.#dirty.add(key);
      if (!after.has(key)) this.#disown(key, file);
    }
    for (const [key, entry] of after) {
      if (before.get(key) === entry) continue;
      this.#dirty.add(key);
      if (!before.has(key)) this.#own(key, file);
    }
  }

  #own(key: string, file: string): void {
    const owners = this.#owners.get(key);
    if (owners !== undefined) {
      owners.add(file);
      this.#repeated.add(key);
      return;
    }
    this.#owners.set(key, new Set([file]));
    this.#countNamespace(key, 1);
  }

  #disown(key: string, file: string): void {
    const owners = this.#owners.get(key);
    owners?.delete(file);
    if (owners === undefined || owners.size < 2) this.#repeated.delete(key);
    if (owners === undefined || owners.size > 0) return;
    this.#owners.delete(key);
    this.#countNamespace(key, -1);
  }

  #countNamespace(key: string, change: number): void {
    const namespace = key.split("/")[1] ?? "";
    if (namespace === "") return;
    const count = (this.#namespaces.get(namespace) ?? 0) + change;
    if (count > 0) this.#namespaces.set(namespace, count);
    else this.#namespaces.delete(namespace);
    this.#dirty.add(objectKey("Namespace", "", namespace));
  }

  #effective(key: string): Entry | undefined {
    const file = firstOf(this.#owners.get(key));
    const entry = file === undefined ? undefined : this.#files.get(file)?.entries.get(key);
    const [kind, , name] = key.split("/");
    if (kind !== "Namespace" || name === undefined) return entry;
    if (entry === undefined && !this.#namespaces.has(name)) return undefined;
    return namespaceEntry(name, entry);
  }

  #problems(): Problem[] {
    const problems = [...this.#troubled].flatMap((file) => this.#files.get(file)?.problems ?? []);
    for (const key of this.#repeated) {
      const owners = this.#owners.get(key) ?? new Set();
      const winner = firstOf(owners);
      for (const file of owners) {
        const place = this.#files.get(file)?.entries.get(key)?.place;
        if (file === winner || place === undefined) continue;
        problems.push({ ...place(), message: `is in ${winner} too; the one there counts` });
      }
    }
    return problems.sort((a, b) =>
      compare(a.file, b.file) || a.line - b.line || a.column - b.column ||
      compare(a.message, b.message)
    );
  }
}

/** The object of the first file by name counts, so that the result does not depend on history. */
function firstOf(files: ReadonlySet<string> | undefined): string | undefined {
  return files === undefined ? undefined : [...files].sort()[0];
}

/** Namespaces are there when something is in them, and carry their name as a label. */
function namespaceEntry(name: string, entry: Entry | undefined): Entry {
  const labels = { ...entry?.object.meta.labels, "kubernetes.io/metadata.name": name };
  const key = objectKey("Namespace", "", name);
  const meta = entry?.object.meta ??
    { name, namespace: "", uid: objectUid(key), generation: 1, created: 0, manager: "" };
  const object: Namespace = { kind: "Namespace", meta: { ...meta, labels } };
  const place = (): Problem => ({ severity: "error", file: "", line: 1, column: 1, message: "" });
  return { place, ...entry, object, signature: "" };
}

function hashOf(signature: string): string {
  return createHash("sha256").update(signature).digest("hex");
}

function sameLabels(a: Labels, b: Labels): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
