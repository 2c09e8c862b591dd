/** The frozen read side of the store: every compile sees one consistent state. */
import {
  type EndpointSlice,
  type Kind,
  type KubeObject,
  type Labels,
  type ObjectByKind,
  objectKey,
  type ReferenceGrant,
} from "../model/objects.ts";

/** Label by which an EndpointSlice names its Service. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

/** Everything that compile reads. Immutable. */
export interface ClusterView {
  /** Rises with every change of the store. */
  readonly revision: number;
  /** The object, or undefined. The namespace is empty for cluster-scoped kinds. */
  get<K extends Kind>(kind: K, namespace: string, name: string): ObjectByKind[K] | undefined;
  /** All objects of a kind, by namespace and name. */
  list<K extends Kind>(kind: K): readonly ObjectByKind[K][];
  /** EndpointSlices of a Service, by name. */
  slicesOf(namespace: string, service: string): readonly EndpointSlice[];
  /** ReferenceGrants in a namespace, by name. */
  grantsIn(namespace: string): readonly ReferenceGrant[];
  /** Labels of a namespace; undefined when it is not there. */
  namespaceLabels(namespace: string): Labels | undefined;
}

/** Objects of one kind: by key, and sorted. */
export interface KindIndex<K extends Kind> {
  byKey: ReadonlyMap<string, ObjectByKind[K]>;
  sorted: readonly ObjectByKind[K][];
}

export type KindIndexes = { readonly [K in Kind]: KindIndex<K> };

function compareObjects(a: KubeObject, b: KubeObject): number {
  const [x, y] = [a.meta, b.meta];
  if (x.namespace !== y.namespace) return x.namespace < y.namespace ? -1 : 1;
  return x.name < y.name ? -1 : x.name > y.name ? 1 : 0;
}

/** Indexes the objects of one kind. */
export function indexKind<K extends Kind>(objects: Iterable<ObjectByKind[K]>): KindIndex<K> {
  const sorted = [...objects].sort(compareObjects);
  const byKey = new Map(
    sorted.map((object) => [
      objectKey(object.kind, object.meta.namespace, object.meta.name),
      object,
    ]),
  );
  return { byKey, sorted };
}

function groupBy<T>(items: readonly T[], key: (item: T) => string | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = key(item);
    if (name === undefined) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}

/** The slices of each Service, by `<ns>/<service>`. */
export function indexSlices(
  slices: readonly EndpointSlice[],
): ReadonlyMap<string, readonly EndpointSlice[]> {
  return groupBy(slices, (slice) => {
    const service = slice.meta.labels[SERVICE_NAME_LABEL];
    return service === undefined ? undefined : `${slice.meta.namespace}/${service}`;
  });
}

/** The grants of each namespace. */
export function indexGrants(
  grants: readonly ReferenceGrant[],
): ReadonlyMap<string, readonly ReferenceGrant[]> {
  return groupBy(grants, (grant) => grant.meta.namespace);
}

export interface ViewParts {
  revision: number;
  indexes: KindIndexes;
  slices: ReadonlyMap<string, readonly EndpointSlice[]>;
  grants: ReadonlyMap<string, readonly ReferenceGrant[]>;
}

/** Makes a view of finished indexes. */
export function makeView({ revision, indexes, slices, grants }: ViewParts): ClusterView {
  return Object.freeze<ClusterView>({
    revision,
    get<K extends Kind>(kind: K, namespace: string, name: string) {
      const index: KindIndex<K> = indexes[kind];
      return index.byKey.get(objectKey(kind, namespace, name));
    },
    list<K extends Kind>(kind: K) {
      const index: KindIndex<K> = indexes[kind];
      return index.sorted;
    },
    slicesOf: (namespace, service) => slices.get(`${namespace}/${service}`) ?? [],
    grantsIn: (namespace) => grants.get(namespace) ?? [],
    namespaceLabels: (namespace) =>
      indexes.Namespace.byKey.get(objectKey("Namespace", "", namespace))?.meta.labels,
  });
}
