/** Objects that are read together: slices by their Service, grants by their namespace. */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import type { EndpointSlice, KubeObject, ReferenceGrant } from "../model/objects.ts";

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

  /** The objects of a group, by name. */
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
      list.sort((a, b) => a.meta.name < b.meta.name ? -1 : a.meta.name > b.meta.name ? 1 : 0);
    }
    const gone = [...touched].filter(([, list]) => list.length === 0).map(([group]) => group);
    const kept = [...touched].filter(([, list]) => list.length > 0);
    return new Group(this.#groupOf, this.#groups.with(kept, gone));
  }
}
