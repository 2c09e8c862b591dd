/** The objects that the controller knows, and the view that compile reads. */
import {
  type EndpointSlice,
  keyOf,
  type Kind,
  type KubeObject,
  type ObjectByKind,
  type ReferenceGrant,
} from "../model/objects.ts";
import type { Batch } from "../source/batch.ts";
import { type ClusterView, indexGrants, indexKind, indexSlices, makeView } from "./view.ts";
import type { KindIndex, KindIndexes } from "./view.ts";

type Tables = { [K in Kind]: Map<string, ObjectByKind[K]> };
type Indexes = { [K in Kind]: KindIndex<K> };

function emptyTables(): Tables {
  return {
    GatewayClass: new Map(),
    Gateway: new Map(),
    HTTPRoute: new Map(),
    ReferenceGrant: new Map(),
    Service: new Map(),
    EndpointSlice: new Map(),
    Secret: new Map(),
    ConfigMap: new Map(),
    Namespace: new Map(),
    LightBackend: new Map(),
  };
}

function emptyIndexes(): Indexes {
  return {
    GatewayClass: indexKind<"GatewayClass">([]),
    Gateway: indexKind<"Gateway">([]),
    HTTPRoute: indexKind<"HTTPRoute">([]),
    ReferenceGrant: indexKind<"ReferenceGrant">([]),
    Service: indexKind<"Service">([]),
    EndpointSlice: indexKind<"EndpointSlice">([]),
    Secret: indexKind<"Secret">([]),
    ConfigMap: indexKind<"ConfigMap">([]),
    Namespace: indexKind<"Namespace">([]),
    LightBackend: indexKind<"LightBackend">([]),
  };
}

/**
 * Owns the objects. A view is made on demand, and only the indexes of kinds that changed are made
 * anew, so that the views before it stay as they were.
 */
export class ObjectStore {
  readonly #tables = emptyTables();
  readonly #changed = new Set<Kind>();
  #indexes: KindIndexes = emptyIndexes();
  #slices: ReadonlyMap<string, readonly EndpointSlice[]> = new Map();
  #grants: ReadonlyMap<string, readonly ReferenceGrant[]> = new Map();
  #revision = 0;
  #view: ClusterView | undefined;

  /** Applies a change. Returns true when something is different now. */
  apply(batch: Pick<Batch, "upserts" | "deletes">): boolean {
    let changed = false;
    for (const object of batch.upserts) {
      const table: Map<string, KubeObject> = this.#tables[object.kind];
      if (table.get(keyOf(object)) === object) continue;
      table.set(keyOf(object), object);
      this.#changed.add(object.kind);
      changed = true;
    }
    for (const key of batch.deletes) {
      const kind = key.slice(0, key.indexOf("/"));
      if (!isKind(kind, this.#tables) || !this.#tables[kind].delete(key)) continue;
      this.#changed.add(kind);
      changed = true;
    }
    if (changed) {
      this.#revision++;
      this.#view = undefined;
    }
    return changed;
  }

  /** The state now, frozen. The same object until something changes. */
  view(): ClusterView {
    if (this.#view !== undefined) return this.#view;
    const indexes: Indexes = { ...this.#indexes };
    for (const kind of this.#changed) this.#reindex(indexes, kind);
    this.#indexes = indexes;
    if (this.#changed.has("EndpointSlice")) {
      this.#slices = indexSlices(indexes.EndpointSlice.sorted);
    }
    if (this.#changed.has("ReferenceGrant")) {
      this.#grants = indexGrants(indexes.ReferenceGrant.sorted);
    }
    this.#changed.clear();
    this.#view = makeView({
      revision: this.#revision,
      indexes,
      slices: this.#slices,
      grants: this.#grants,
    });
    return this.#view;
  }

  #reindex<K extends Kind>(indexes: Indexes, kind: K): void {
    const table: Map<string, ObjectByKind[K]> = this.#tables[kind];
    indexes[kind] = indexKind<K>(table.values()) as Indexes[K];
  }
}

function isKind(kind: string, tables: Tables): kind is Kind {
  return Object.hasOwn(tables, kind);
}

/** A view of some objects, for one-shot use. */
export function viewOf(objects: Iterable<KubeObject>): ClusterView {
  const store = new ObjectStore();
  store.apply({ upserts: [...objects], deletes: [] });
  return store.view();
}
