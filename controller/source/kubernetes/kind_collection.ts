/** The objects of one kind, in one namespace or all: what changed of what the compiler reads. */
import type { Clock } from "../../../shared/lib/clock.ts";
import { type KubeObject, objectKey } from "../../model/objects.ts";
import type { StoredStatus } from "../../status/merge.ts";
import type { Problem } from "../batch.ts";
import { asRecord } from "../decode/decoder.ts";
import { contentSignature, type KindRow } from "../kinds.ts";
import type { KubeApi } from "./api.ts";
import { decodeObject } from "./decode_object.ts";
import { placeOf, type RawChange, type RawObject } from "./raw_object.ts";
import type { Resource, Selection } from "./resource.ts";
import type { StoredObject } from "./stored.ts";
import { CollectionWatch } from "./watch.ts";
import { ABSENCES, type Outcome, type WatchState } from "./watch_state.ts";

/** What a collection tells. */
export interface CollectionEvents {
  /** Objects that are different now. */
  changed(change: { upserts: KubeObject[]; deletes: string[] }): void;
  /** Problems of an object: all of them; empty = none any more. True when they are others now. */
  problems(key: string, problems: readonly Problem[]): boolean;
  /** An object's stored status, or that it is gone. */
  stored(key: string, object: StoredObject | undefined): void;
  /** All that there is was told, or it is certain that nothing is there; said again after relists. */
  synced(): void;
  /** The server lets us read none of it. */
  forbidden(detail: string): void;
  /** A request ended, for counting. */
  ended(outcome: Outcome, detail: string): void;
}

export interface CollectionOptions {
  api: Pick<KubeApi, "request" | "open">;
  row: KindRow;
  selection: Selection;
  /** Is the status of these objects ours to write? */
  withStatus: boolean;
  clock: Clock;
  random: () => number;
  events: CollectionEvents;
}

interface Entry {
  object: KubeObject;
  signature: string;
}

/** Follows the objects from construction until closed. */
export class KindCollection {
  readonly #options: CollectionOptions;
  /** By namespace and name. */
  readonly #entries = new Map<string, Entry>();
  /** Places of everything there is, decodable or not. */
  readonly #present = new Set<string>();
  /** Watches of versions that are not read any more. */
  readonly #ending = new Set<Promise<void>>();
  #versionIndex = 0;
  /** No version is served: only the first one is looked for from then on. */
  #absent = false;
  #watch: CollectionWatch;
  #closed = false;

  constructor(options: CollectionOptions) {
    this.#options = options;
    this.#watch = this.#open();
  }

  /** Tells that nothing of it is there any more and says no more: nobody refers to it. */
  drop(): void {
    this.#apply([], [...this.#present]);
    this.#closed = true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#watch.close(), ...this.#ending]);
  }

  get #resource(): Resource {
    const { group, plural, versions } = this.#options.row;
    return { group, plural, version: versions[this.#versionIndex] ?? "v1" };
  }

  #open(): CollectionWatch {
    const { api, selection, clock, random } = this.#options;
    return new CollectionWatch({
      api,
      selection,
      clock,
      random,
      resource: this.#resource,
      handler: {
        listed: (objects) => this.#listed(objects),
        changed: (changes) => this.#changed(changes),
        ended: (outcome, context) => this.#ended(outcome, context),
      },
    });
  }

  #listed(objects: readonly RawObject[]): void {
    if (this.#closed) return;
    this.#absent = false;
    const places = new Set(objects.map(placeOf));
    const gone = [...this.#present].filter((place) => !places.has(place));
    this.#apply(objects, gone);
    this.#options.events.synced();
  }

  #changed(changes: readonly RawChange[]): void {
    if (this.#closed) return;
    // Several changes of one object: the last one counts.
    const latest = new Map<string, RawChange>();
    for (const change of changes) latest.set(placeOf(change.object), change);
    const set = [...latest.values()].filter(({ kind }) => kind === "set");
    const gone = [...latest].filter(([, { kind }]) => kind === "deleted").map(([place]) => place);
    this.#apply(set.map(({ object }) => object), gone);
  }

  #ended(outcome: Outcome, { detail, state }: { detail: string; state: WatchState }): void {
    const { events, row } = this.#options;
    if (this.#closed) return;
    events.ended(outcome, detail);
    if (outcome.kind === "forbidden") events.forbidden(detail);
    if (outcome.kind !== "absent" || state.absences < ABSENCES) return;
    const next = this.#versionIndex + 1;
    if (!this.#absent && next < row.versions.length) return this.#switchTo(next);
    this.#absent = true;
    this.#apply([], [...this.#present]);
    events.synced();
    if (this.#versionIndex > 0) this.#switchTo(0);
  }

  /** The kind is served at another version: objects known stay until that one is listed. */
  #switchTo(index: number): void {
    // Called from within the watch, which ends after this.
    const ending = this.#watch.close();
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
    this.#versionIndex = index;
    this.#watch = this.#open();
  }

  #apply(objects: readonly RawObject[], gone: readonly string[]): void {
    const { row, events } = this.#options;
    const upserts: KubeObject[] = [];
    const deletes: string[] = [];
    let judged = false;
    for (const raw of objects) {
      const place = placeOf(raw);
      this.#present.add(place);
      this.#store(raw);
      const { object, refused } = this.#read(raw);
      if (object !== undefined) upserts.push(object);
      judged ||= refused;
    }
    for (const place of gone) {
      if (!this.#present.delete(place)) continue;
      const slash = place.indexOf("/");
      const key = objectKey(row.kind, place.slice(0, slash), place.slice(slash + 1));
      if (this.#entries.delete(place)) deletes.push(key);
      events.problems(key, []);
      if (this.#options.withStatus) events.stored(key, undefined);
    }
    // Problems alone are a change as well: they are counted, and shown.
    if (upserts.length > 0 || deletes.length > 0 || judged) events.changed({ upserts, deletes });
  }

  /** The object when the compiler has to look at it: a status of ours that came back is no reason. */
  #read(raw: RawObject): { object?: KubeObject; refused: boolean } {
    const place = placeOf(raw);
    const { key, object, problems } = decodeObject(this.#options.row, raw);
    const refused = this.#options.events.problems(key, problems);
    if (object === undefined) return { refused };
    const signature = signatureOf(raw, object);
    const before = this.#entries.get(place);
    if (before?.signature === signature) return { refused };
    this.#entries.set(place, { object, signature });
    return { object, refused };
  }

  #store({ namespace, name, uid, resourceVersion, body }: RawObject): void {
    const { row, withStatus, events } = this.#options;
    if (!withStatus) return;
    const key = objectKey(row.kind, namespace, name);
    const status = asRecord(body.status);
    events.stored(key, {
      key,
      resource: this.#resource,
      namespace,
      name,
      uid,
      resourceVersion,
      ...(status === undefined ? {} : { status: status as StoredStatus }),
    });
  }
}

/** Differs when anything differs that is read: the generation stands for the content where it counts. */
function signatureOf({ metadata }: RawObject, object: KubeObject): string {
  const { uid, created, labels } = object.meta;
  const content = typeof metadata.generation === "number"
    ? String(metadata.generation)
    : contentSignature(object);
  return JSON.stringify([uid, created, labels, content]);
}
