/** What one version changes. */
import { canonicalize } from "./canonical.ts";
import { ResourceMap } from "./resource_map.ts";
import type { Resource, Resources } from "./schema.ts";

/** The difference between two resource maps. */
export interface ResourceDelta {
  /** New or changed, sorted by id. */
  set: ReadonlyMap<string, Resource>;
  /** Gone, sorted. */
  deleted: readonly string[];
}

/**
 * The delta that leads from `before` to `after`. Unchanged objects are known by identity first.
 * @param equal another map of the same content as `before`, whose objects `after` may share.
 */
export function diffResources(
  before: Resources,
  after: Resources,
  options: { equal?: Resources | undefined } = {},
): ResourceDelta {
  const { equal } = options;
  const set: [string, Resource][] = [];
  for (const [id, resource] of after) {
    const known = before.get(id);
    if (known === resource || (known !== undefined && equal?.get(id) === resource)) continue;
    if (known === undefined || canonicalize(known) !== canonicalize(resource)) {
      set.push([id, resource]);
    }
  }
  const deleted: string[] = [];
  for (const id of before.keys()) if (!after.has(id)) deleted.push(id);
  set.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return { set: new Map(set), deleted: deleted.sort() };
}

/** The resources after `delta`; costs what the delta holds. */
export function applyDelta(
  resources: ResourceMap<Resource>,
  delta: ResourceDelta,
): ResourceMap<Resource> {
  return resources.with(delta.set, delta.deleted);
}

/** True when the delta changes nothing. */
export function isEmptyDelta(delta: ResourceDelta): boolean {
  return delta.set.size === 0 && delta.deleted.length === 0;
}
