/** The frozen read side of the store: every compile sees one consistent state. */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import {
  type EndpointSlice,
  keyOf,
  type Kind,
  type KubeObject,
  type Labels,
  type ListenerSet,
  type ObjectByKind,
  objectKey,
  type ReferenceGrant,
} from "../model/objects.ts";
import type { BackendTlsPolicy } from "../model/tls_objects.ts";
import { grantNamespace, Group, policyServices, setGateway, sliceService } from "./group.ts";

/** Everything that compile reads. Immutable. */
export interface ClusterView {
  /** The object, or undefined. The namespace is empty for cluster-scoped kinds. */
  get<K extends Kind>(kind: K, namespace: string, name: string): ObjectByKind[K] | undefined;
  /** All objects of a kind, by namespace and name. */
  list<K extends Kind>(kind: K): readonly ObjectByKind[K][];
  /** EndpointSlices of a Service, by name. */
  slicesOf(namespace: string, service: string): readonly EndpointSlice[];
  /** ReferenceGrants in a namespace, by name. */
  grantsIn(namespace: string): readonly ReferenceGrant[];
  /** BackendTLSPolicies with a target that is the Service or a port of it, by name. */
  policiesOf(namespace: string, service: string): readonly BackendTlsPolicy[];
  /** ListenerSets that name a Gateway as their parent, in a fixed order. */
  listenerSetsOf(namespace: string, gateway: string): readonly ListenerSet[];
  /** Labels of a namespace; undefined when it is not there. */
  namespaceLabels(namespace: string): Labels | undefined;
}

/** One object as it was and as it is; absent = not there. */
export interface ObjectChange {
  before: KubeObject | undefined;
  after: KubeObject | undefined;
}

/** Objects of one kind by key. The sorted list is made when somebody asks for it. */
class KindIndex {
  #sorted: readonly KubeObject[] | undefined;
  constructor(readonly objects: ResourceMap<KubeObject>) {}

  get sorted(): readonly KubeObject[] {
    return this.#sorted ??= [...this.objects.values()].sort(compareObjects);
  }
}

function compareObjects(a: KubeObject, b: KubeObject): number {
  const [x, y] = [a.meta, b.meta];
  if (x.namespace !== y.namespace) return x.namespace < y.namespace ? -1 : 1;
  return x.name < y.name ? -1 : x.name > y.name ? 1 : 0;
}

interface ViewParts {
  /** By kind. */
  kinds: ReadonlyMap<string, KindIndex>;
  slices: Group<EndpointSlice>;
  grants: Group<ReferenceGrant>;
  policies: Group<BackendTlsPolicy>;
  sets: Group<ListenerSet>;
}

const NOTHING = new KindIndex(ResourceMap.from<KubeObject>([]));

/** A view that knows how the next one differs: neither making nor comparing them copies all. */
export class StoredView implements ClusterView {
  readonly #parts: ViewParts;

  private constructor(parts: ViewParts) {
    this.#parts = parts;
  }

  /** The view of no objects. */
  static readonly EMPTY: StoredView = new StoredView({
    kinds: new Map(),
    slices: new Group(sliceService),
    grants: new Group(grantNamespace),
    policies: new Group(policyServices),
    sets: new Group(setGateway),
  });

  /** The view after changes, one per object; the receiver stays as it is. */
  with(changes: readonly ObjectChange[]): StoredView {
    const byKind = new Map<Kind, ObjectChange[]>();
    for (const change of changes) {
      const kind = (change.after ?? change.before)?.kind;
      if (kind === undefined) continue;
      const list = byKind.get(kind);
      if (list === undefined) byKind.set(kind, [change]);
      else list.push(change);
    }
    const kinds = new Map(this.#parts.kinds);
    for (const [kind, list] of byKind) {
      const set = list.flatMap(({ after }) =>
        after === undefined ? [] : [[keyOf(after), after] as const]
      );
      const deleted = list.flatMap(({ before, after }) =>
        before === undefined || after !== undefined ? [] : [keyOf(before)]
      );
      kinds.set(kind, new KindIndex(this.#objects(kind).with(set, deleted)));
    }
    return new StoredView({
      kinds,
      slices: this.#parts.slices.with(ofKind(changes, isSlice)),
      grants: this.#parts.grants.with(ofKind(changes, isGrant)),
      policies: this.#parts.policies.with(ofKind(changes, isPolicy)),
      sets: this.#parts.sets.with(ofKind(changes, isSet)),
    });
  }

  /** The objects that are not the same as in an earlier view. */
  changedSince(before: StoredView): ObjectChange[] {
    const changes: ObjectChange[] = [];
    for (const kind of new Set([...this.#parts.kinds.keys(), ...before.#parts.kinds.keys()])) {
      const objects = this.#objects(kind);
      const old = before.#objects(kind);
      if (old === objects) continue;
      for (const key of objects.changedSince(old)) {
        changes.push({ before: old.get(key), after: objects.get(key) });
      }
    }
    return changes;
  }

  /** Number of objects. */
  get size(): number {
    let size = 0;
    for (const { objects } of this.#parts.kinds.values()) size += objects.size;
    return size;
  }

  /** The object with a key (`<Kind>/<namespace>/<name>`). */
  find(key: string): KubeObject | undefined {
    return this.#objects(key.slice(0, key.indexOf("/"))).get(key);
  }

  get<K extends Kind>(kind: K, namespace: string, name: string): ObjectByKind[K] | undefined {
    return ofType(this.#objects(kind).get(objectKey(kind, namespace, name)), kind);
  }

  list<K extends Kind>(kind: K): readonly ObjectByKind[K][] {
    return (this.#parts.kinds.get(kind) ?? NOTHING).sorted as readonly ObjectByKind[K][];
  }

  slicesOf(namespace: string, service: string): readonly EndpointSlice[] {
    return this.#parts.slices.of(`${namespace}/${service}`);
  }

  grantsIn(namespace: string): readonly ReferenceGrant[] {
    return this.#parts.grants.of(namespace);
  }

  policiesOf(namespace: string, service: string): readonly BackendTlsPolicy[] {
    return this.#parts.policies.of(`${namespace}/${service}`);
  }

  listenerSetsOf(namespace: string, gateway: string): readonly ListenerSet[] {
    return this.#parts.sets.of(`${namespace}/${gateway}`);
  }

  namespaceLabels(namespace: string): Labels | undefined {
    return this.get("Namespace", "", namespace)?.meta.labels;
  }

  #objects(kind: string): ResourceMap<KubeObject> {
    return (this.#parts.kinds.get(kind) ?? NOTHING).objects;
  }
}

/** An object of a table of its kind. */
function ofType<K extends Kind>(
  object: KubeObject | undefined,
  kind: K,
): ObjectByKind[K] | undefined {
  return object?.kind === kind ? object as ObjectByKind[K] : undefined;
}

function isSlice(object: KubeObject): object is EndpointSlice {
  return object.kind === "EndpointSlice";
}

function isGrant(object: KubeObject): object is ReferenceGrant {
  return object.kind === "ReferenceGrant";
}

function isPolicy(object: KubeObject): object is BackendTlsPolicy {
  return object.kind === "BackendTLSPolicy";
}

function isSet(object: KubeObject): object is ListenerSet {
  return object.kind === "ListenerSet";
}

function ofKind<T extends KubeObject>(
  changes: readonly ObjectChange[],
  is: (object: KubeObject) => object is T,
): { before: T | undefined; after: T | undefined }[] {
  const only = (object: KubeObject | undefined) =>
    object !== undefined && is(object) ? object : undefined;
  return changes.map(({ before, after }) => ({ before: only(before), after: only(after) }))
    .filter(({ before, after }) => before !== undefined || after !== undefined);
}
