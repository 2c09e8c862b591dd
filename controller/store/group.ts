/**
 * Objects that are read together: slices by Service, grants by namespace, sets by Gateway, policies
 * by each Service that they target.
 */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import {
  type EndpointSlice,
  GATEWAY_GROUP,
  type KubeObject,
  type ListenerSet,
  type ReferenceGrant,
} from "../model/objects.ts";
import type { BackendTlsPolicy } from "../model/tls_objects.ts";

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

/** `<namespace>/<service>` of each Service that a policy targets. */
export function policyServices({ meta, spec }: BackendTlsPolicy): string[] {
  const services = spec.targetRefs.filter(({ group, kind }) => group === "" && kind === "Service");
  return [...new Set(services.map(({ name }) => `${meta.namespace}/${name}`))];
}

/** The group of an object, its groups, or none. */
type GroupOf<T> = (object: T) => string | readonly string[] | undefined;

/** Immutable; a change costs the groups that it touches. */
export class Group<T extends KubeObject> {
  readonly #groupOf: GroupOf<T>;
  readonly #groups: ResourceMap<readonly T[]>;

  constructor(
    groupOf: GroupOf<T>,
    groups: ResourceMap<readonly T[]> = ResourceMap.from<readonly T[]>([]),
  ) {
    this.#groupOf = groupOf;
    this.#groups = groups;
  }

  /** The objects of a group, by name and namespace. */
  of(group: string): readonly T[] {
    return this.#groups.get(group) ?? [];
  }

  #groupsOf(object: T): readonly string[] {
    const groups = this.#groupOf(object) ?? [];
    return typeof groups === "string" ? [groups] : groups;
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
      if (before !== undefined) {
        for (const group of this.#groupsOf(before)) {
          const list = listOf(group);
          list.splice(list.indexOf(before), 1);
        }
      }
      if (after !== undefined) {
        for (const group of this.#groupsOf(after)) listOf(group).push(after);
      }
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
