/** Objects that are read together: slices by Service, grants by namespace, sets by Gateway. */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import {
  type EndpointSlice,
  GATEWAY_GROUP,
  type KubeObject,
  type ListenerSet,
  type ReferenceGrant,
} from "../model/objects.ts";

/** Label by which an EndpointSlice names its Service. */
const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

/** `<namespace>/<service>`; undefined for a slice of no Service. */
export function sliceService(slice: EndpointSlice): string | undefined {
  const service = slice.meta.labels[SERVICE_NAME_LABEL];
  return service === undefined ? undefined : `${slice.meta.namespace}/${service}`;
}

export function grantNamespace(grant: ReferenceGrant): string {
  return grant.meta.namespace;
}

/** `<namespace>/<name>` of the Gateway that a set names; undefined when it names none. */
export function setGateway({ meta, spec: { parentRef } }: ListenerSet): string | undefined {
  if (parentRef.group !== GATEWAY_GROUP || parentRef.kind !== "Gateway") return undefined;
  return `${parentRef.namespace ?? meta.namespace}/${parentRef.name}`;
}

/** Immutable; a change costs the groups that it touches. */
export class Group<T extends KubeObject> {
  readonly #groupOf: (object: T) => string | undefined;
  readonly #groups: ResourceMap<readonly T[]>;

  constructor(
    groupOf: (object: T) => string | undefined,
    groups: ResourceMap<readonly T[]> = ResourceMap.from<readonly T[]>([]),
  ) {
    this.#groupOf = groupOf;
    this.#groups = groups;
  }

  /** The objects of a group, by name and namespace. */
  of(group: string): readonly T[] {
    return this.#groups.get(group) ?? [];
  }

  with(changes: readonly { before: T | undefined; after: T | undefined }[]): Group<T> {
    if (changes.length === 0) return this;
    const touched = new Map<string, T[]>();
    const listOf = (group: string) => {
      let list = touched.get(group);
      if (list === undefined) touched.set(group, list = [...this.of(group)]);
      return list;
    };
    for (const { before, after } of changes) {
      const from = before === undefined ? undefined : this.#groupOf(before);
      const to = after === undefined ? undefined : this.#groupOf(after);
      if (from !== undefined && before !== undefined) {
        const list = listOf(from);
        list.splice(list.indexOf(before), 1);
      }
      if (to !== undefined && after !== undefined) listOf(to).push(after);
    }
    for (const list of touched.values()) {
      list.sort((a, b) =>
        compare(a.meta.name, b.meta.name) || compare(a.meta.namespace, b.meta.namespace)
      );
    }
    const gone = [...touched].filter(([, list]) => list.length === 0).map(([group]) => group);
    const kept = [...touched].filter(([, list]) => list.length > 0);
    return new Group(this.#groupOf, this.#groups.with(kept, gone));
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
