/** The content of a fleet's catalogue. */
import { scopeId } from "../../shared/snapshot/ids.ts";
import type { Resource, Resources } from "../../shared/snapshot/schema.ts";
import type { PublishedScope } from "./plan_scope.ts";

/**
 * One entry per scope that is on the bus; a tombstone for those that are no longer wanted.
 * An entry stays as it is until its scope comes, goes or is reset, so that the catalogue changes
 * no more often than that.
 */
export function catalogueContent(
  published: ReadonlyMap<string, PublishedScope>,
  options: { before: Resources | undefined; wanted: ReadonlySet<string> },
): Map<string, Resource> {
  const { before, wanted } = options;
  const resources = new Map<string, Resource>();
  for (const [scope, { state }] of published) {
    if (state === undefined) continue;
    const id = scopeId(scope);
    const known = before?.get(id);
    const tombstone = !wanted.has(scope);
    const kept = known?.kind === "scope" && known.tombstone === tombstone &&
      known.minVersion <= state.version;
    const minVersion = tombstone ? 0 : state.version;
    resources.set(id, kept ? known : { kind: "scope", scope, minVersion, tombstone });
  }
  return resources;
}
