/** Where objects of a kind are in the API: paths by group, version, plural, namespace and name. */

/** One resource of the API. */
export interface Resource {
  /** Empty for the core group. */
  group: string;
  version: string;
  plural: string;
}

/** Which objects of a resource. */
export interface Selection {
  /** Absent = all namespaces, or a resource that has none. */
  namespace?: string;
  /** Only the object of this name. */
  name?: string;
  labelSelector?: string;
}

/** `/api/v1` or `/apis/<group>/<version>`. */
export function groupPath({ group, version }: Pick<Resource, "group" | "version">): string {
  return group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
}

/** The path of a collection. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const scope = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${groupPath(resource)}${scope}/${resource.plural}`;
}

/** An object's place. */
export interface ObjectPlace {
  resource: Resource;
  /** Empty for cluster-scoped kinds. */
  namespace: string;
  name: string;
}

/** The path of one object. */
export function objectPath({ resource, namespace, name }: ObjectPlace): string {
  const collection = collectionPath(resource, namespace === "" ? undefined : namespace);
  return `${collection}/${encodeURIComponent(name)}`;
}

/** The query of a list or watch of a selection. */
export function selectionQuery({ name, labelSelector }: Selection): [string, string][] {
  return [
    ...(name === undefined ? [] : [["fieldSelector", `metadata.name=${name}`] as [string, string]]),
    ...(labelSelector === undefined ? [] : [["labelSelector", labelSelector] as [string, string]]),
  ];
}
