/** The Services and EndpointSlices that carry our label, as watches tell of them. */
import type { Clock } from "../../shared/lib/clock.ts";
import type { Logger } from "../../shared/lib/log.ts";
import type { KubeApi } from "../source/kubernetes/api.ts";
import { olderVersion, parseRawObject, type RawObject } from "../source/kubernetes/raw_object.ts";
import type { Resource } from "../source/kubernetes/resource.ts";
import { CollectionWatch } from "../source/kubernetes/watch.ts";
import type { ObjectName } from "./diff.ts";
import { type ExistingObject, existingObject } from "./existing.ts";
import { CONTROLLER_LABEL, controllerLabel } from "./ownership.ts";
import { KINDS, RESOURCES } from "./resources.ts";

export interface OwnObjectsOptions {
  api: Pick<KubeApi, "request" | "open">;
  controllerName: string;
  /** Namespaces to look at; empty = the whole cluster. */
  namespaces: readonly string[];
  clock: Clock;
  random: () => number;
  log: Logger;
  onChange: () => void;
}

interface Entry {
  object: ExistingObject;
  resourceVersion: string;
}

export class OwnObjects {
  readonly #options: OwnObjectsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #watches: CollectionWatch[] = [];

  constructor(options: OwnObjectsOptions) {
    this.#options = options;
  }

  /** Resolves when everything that is there was told. */
  async start(): Promise<void> {
    const { namespaces } = this.#options;
    const places = namespaces.length === 0 ? [undefined] : namespaces;
    await Promise.all(
      KINDS.flatMap((kind) =>
        places.map((namespace) => this.#follow(kind, { resource: RESOURCES[kind], namespace }))
      ),
    );
  }

  objects(): ExistingObject[] {
    return [...this.#entries.values()].map(({ object }) => object);
  }

  get(name: ObjectName): ExistingObject | undefined {
    return this.#entries.get(keyOf(name))?.object;
  }

  /** An object as a write was answered. */
  put(stored: Record<string, unknown>): void {
    this.#take(stored.kind === "Service" ? "Service" : "EndpointSlice", parseRawObject(stored));
  }

  /** It was deleted, or turned out not to be there. */
  gone(name: ObjectName): void {
    this.#entries.delete(keyOf(name));
  }

  async close(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.close()));
  }

  #follow(
    kind: ObjectName["kind"],
    { resource, namespace }: { resource: Resource; namespace: string | undefined },
  ): Promise<void> {
    const { api, controllerName, clock, random, log, onChange } = this.#options;
    const listed = Promise.withResolvers<void>();
    this.#watches.push(
      new CollectionWatch({
        api,
        resource,
        clock,
        random,
        selection: {
          labelSelector: `${CONTROLLER_LABEL}=${controllerLabel(controllerName)}`,
          ...(namespace === undefined ? {} : { namespace }),
        },
        handler: {
          listed: (objects) => {
            const there = new Set(objects.map((object) => keyOf({ kind, ...object })));
            for (const [key, { object }] of this.#entries) {
              const here = object.kind === kind &&
                (namespace === undefined || object.namespace === namespace);
              if (here && !there.has(key)) this.#entries.delete(key);
            }
            // A list counts whatever was known: versions begin again when the storage is restored.
            for (const object of objects) this.#take(kind, object, { listed: true });
            listed.resolve();
            onChange();
          },
          changed: (changes) => {
            for (const { kind: what, object } of changes) {
              if (what === "set") this.#take(kind, object);
              else this.gone({ kind, ...object });
            }
            onChange();
          },
          ended: (outcome, { detail }) => {
            if (outcome.kind !== "forbidden") return;
            log.error("not_allowed_to_read", {
              kind,
              error: detail,
              fix: `grant get, list, watch, create, patch and delete on ${resource.plural}`,
            });
          },
        },
      }),
    );
    return listed.promise;
  }

  #take(kind: ObjectName["kind"], raw: RawObject, { listed = false } = {}): void {
    const object = existingObject({ ...raw.body, kind });
    if (object === undefined) return;
    const key = keyOf(object);
    const known = this.#entries.get(key);
    const older = known !== undefined &&
      olderVersion(raw.resourceVersion, known.resourceVersion);
    if (older && !listed) return;
    this.#entries.set(key, { object, resourceVersion: raw.resourceVersion });
  }
}

function keyOf({ kind, namespace, name }: ObjectName): string {
  return `${kind}/${namespace}/${name}`;
}
