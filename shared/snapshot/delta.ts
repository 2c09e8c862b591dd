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
 * @param equal another map of the same content as `before`, whose objects `after` may share. When
 * `after` was made of it, the cost is what changed.
 */
export function diffResources(
  before: Resources,
  after: Resources,
  options: { equal?: Resources | undefined } = {},
): ResourceDelta {
  const set: [string, Resource][] = [];
  const deleted: string[] = [];
  for (const id of candidates(before, after, options)) {
    const [known, resource] = [before.get(id), after.get(id)];
    if (known === resource) continue;
    if (resource === undefined) deleted.push(id);
    else if (known === undefined || canonicalize(known) !== canonicalize(resource)) {
      set.push([id, resource]);
    }
  }
  set.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return { set: new Map(set), deleted: deleted.sort() };
}

/** Ids outside of which the two maps are equal. */
function candidates(
  before: Resources,
  after: Resources,
  { equal }: { equal?: Resources | undefined },
): Iterable<string> {
  if (after === before || after === equal) return [];
  if (after instanceof ResourceMap) {
    for (const base of [equal, before]) {
      if (base instanceof ResourceMap) return after.changedSince(base);
    }
  }
  const ids = new Set([...after.keys(), ...before.keys()]);
  for (const [id, resource] of after) if (equal?.get(id) === resource) ids.delete(id);
  return ids;
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
