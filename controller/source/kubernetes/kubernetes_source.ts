/**
 * The objects of a cluster: one collection per kind (and namespace, where only some are watched),
 * and one object at a time of the kinds that nobody should list, Secrets above all.
 */
import type { Clock } from "../../../shared/lib/clock.ts";
import type { Logger } from "../../../shared/lib/log.ts";
import {
  GATEWAY_GROUP,
  keyOf,
  type Kind,
  type KubeObject,
  objectKey,
} from "../../model/objects.ts";
import type { Batch, Problem } from "../batch.ts";
import { type KindRow, KINDS } from "../kinds.ts";
import { sameJson } from "../../status/merge.ts";
import type { KubeApi } from "./api.ts";
import { type CollectionEvents, KindCollection } from "./kind_collection.ts";
import { Followed } from "./followed.ts";
import type { StoredObject } from "./stored.ts";
import type { Outcome } from "./watch_state.ts";

/** Told about the watches, for counting. */
export interface SourceObserver {
  /** A watch ended and is taken up again. */
  watchEnded(kind: Kind, outcome: Outcome["kind"]): void;
  /** So many Secrets and ConfigMaps are followed. */
  following(count: number): void;
}

export interface KubernetesSourceOptions {
  api: Pick<KubeApi, "request" | "open">;
  /** Namespaces to look at; empty = the whole cluster. */
  namespaces: readonly string[];
  /** Class to assume where classes may not be read, which one namespace's rights do not include. */
  assumedClass: { name: string; controllerName: string };
  onBatch: (batch: Batch) => void;
  /** An object's status as it is stored, or that the object is gone. */
  onStored: (key: string, object: StoredObject | undefined) => void;
  observer: SourceObserver;
  clock: Clock;
  random: () => number;
  log: Logger;
}

/** Kinds that are read one by one, by the names that others refer to. */
export const FOLLOWED_KINDS: readonly Kind[] = ["Secret", "ConfigMap"];

export class KubernetesSource {
  readonly #options: KubernetesSourceOptions;
  readonly #collections: KindCollection[] = [];
  readonly #followed: Followed;
  readonly #problems = new Map<string, readonly Problem[]>();
  /** Collections that have not told all of theirs yet. */
  readonly #waiting = new Set<string>();
  readonly #synced = Promise.withResolvers<void>();
  /** What came before everything was there, by key; undefined = came and went. */
  #held: Map<string, KubeObject | undefined> | undefined = new Map();
  readonly #complained = new Set<string>();

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.#followed = new Followed({
      open: (row, place, synced) => this.#open(row, { ...place, synced }),
      onCount: (count) => options.observer.following(count),
      clock: options.clock,
    });
  }

  /** Resolves when everything that may be read was told in one batch. */
  start(): Promise<void> {
    const { namespaces } = this.#options;
    const wanted: { id: string; row: KindRow; namespace?: string }[] = [];
    for (const row of KINDS) {
      if (FOLLOWED_KINDS.includes(row.kind)) continue;
      if (!row.namespaced || namespaces.length === 0) wanted.push({ id: row.kind, row });
      else {for (const namespace of namespaces) {
          wanted.push({ id: `${row.kind} in ${namespace}`, row, namespace });
        }}
    }
    for (const { id } of wanted) this.#waiting.add(id);
    for (const { id, row, namespace } of wanted) {
      const synced = () => this.#told(id);
      this.#collections.push(
        this.#open(row, { synced, ...(namespace === undefined ? {} : { namespace }) }),
      );
    }
    return this.#synced.promise;
  }

  /** What is not there yet, for people who wait. */
  get waitingFor(): readonly string[] {
    return [...this.#waiting];
  }

  /**
   * Follows exactly these Secrets and ConfigMaps (object keys). Undefined when they are all known
   * already; else resolves when the new ones were told, or after a bounded wait.
   */
  follow(keys: ReadonlySet<string>): Promise<void> | undefined {
    return this.#followed.follow(keys);
  }

  async close(): Promise<void> {
    await Promise.all([
      this.#followed.close(),
      ...this.#collections.map((collection) => collection.close()),
    ]);
  }

  #open(
    row: KindRow,
    { namespace, name, synced }: { namespace?: string; name?: string; synced: () => void },
  ): KindCollection {
    const { api, clock, random, onStored, observer, log } = this.#options;
    const events: CollectionEvents = {
      changed: (change) => this.#emit(change),
      problems: (key, problems) => this.#judge(key, problems),
      stored: onStored,
      synced,
      forbidden: (detail) => this.#forbidden(row, { detail, synced }),
      ended: (outcome, detail) => {
        observer.watchEnded(row.kind, outcome.kind);
        log.debug("watch_ended", { kind: row.kind, outcome: outcome.kind, detail });
        if (outcome.kind === "failed") this.#complain(row.kind, detail);
        else this.#complained.delete(row.kind);
      },
    };
    return new KindCollection({
      api,
      row,
      clock,
      random,
      events,
      withStatus: row.group === GATEWAY_GROUP && row.kind !== "ReferenceGrant",
      selection: {
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
      },
    });
  }

  #told(id: string): void {
    if (!this.#waiting.delete(id) || this.#waiting.size > 0) return;
    const held = [...this.#held ?? []];
    this.#held = undefined;
    this.#emit({
      upserts: held.flatMap(([, object]) => object ?? []),
      deletes: held.flatMap(([key, object]) => object === undefined ? [key] : []),
    });
    this.#synced.resolve();
  }

  #emit({ upserts, deletes }: { upserts: KubeObject[]; deletes: string[] }): void {
    if (this.#held !== undefined) {
      for (const object of upserts) this.#held.set(keyOf(object), object);
      for (const key of deletes) this.#held.set(key, undefined);
      return;
    }
    const problems = [...this.#problems.values()].flat();
    this.#options.onBatch({ upserts, deletes, problems });
  }

  /** True when the object's problems are others than before: only then they are told. */
  #judge(key: string, problems: readonly Problem[]): boolean {
    if (problems.length === 0) return this.#problems.delete(key);
    if (sameJson(this.#problems.get(key), problems)) return false;
    this.#problems.set(key, problems);
    for (const { field, message } of problems) {
      this.#options.log.warn("object_refused", { object: key, field, problem: message });
    }
    return true;
  }

  /** Once per outage: a server that is away is away for every kind. */
  #complain(kind: Kind, error: string): void {
    if (this.#complained.has(kind)) return;
    this.#complained.add(kind);
    this.#options.log.warn("watch_failed", { kind, error });
  }

  /**
   * What may not be read is missing for good. Rights in single namespaces cannot include what has
   * no namespace: there the class is assumed, and namespaces have no labels but their names.
   */
  #forbidden(row: KindRow, { detail, synced }: { detail: string; synced: () => void }): void {
    const { namespaces, log } = this.#options;
    if (row.namespaced || namespaces.length === 0) {
      if (!this.#complained.has(`rights ${row.kind}`)) {
        log.error("not_allowed_to_read", {
          kind: row.kind,
          error: detail,
          fix: `grant get, list and watch on ${row.plural}`,
        });
      }
      this.#complained.add(`rights ${row.kind}`);
      return;
    }
    // Asked again and again, refused again and again: assumed once.
    if (this.#complained.has(`assumed ${row.kind}`)) return;
    this.#complained.add(`assumed ${row.kind}`);
    const upserts = this.#assumed(row.kind);
    if (upserts.length > 0) this.#emit({ upserts, deletes: [] });
    synced();
  }

  #assumed(kind: Kind): KubeObject[] {
    const { namespaces, assumedClass: { name, controllerName } } = this.#options;
    const meta = (own: string) => ({
      namespace: "",
      name: own,
      uid: `assumed-${objectKey(kind, "", own)}`,
      generation: 1,
      created: 0,
      labels: {},
      manager: "",
    });
    switch (kind) {
      case "GatewayClass":
        return name === "" ? [] : [{ kind, meta: meta(name), spec: { controllerName } }];
      case "Namespace":
        return namespaces.map((namespace) => ({
          kind,
          meta: { ...meta(namespace), labels: { "kubernetes.io/metadata.name": namespace } },
        }));
      default:
        return [];
    }
  }
}
