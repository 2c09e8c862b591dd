/** Where two states of a map differ. */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";

/**
 * Keys whose values are not the same object in both; all of both when there is no telling. Costs
 * what lies between the two when one was made of the other.
 */
export function changedKeys<V>(
  now: ReadonlyMap<string, V>,
  before: ReadonlyMap<string, V> | undefined,
): Iterable<string> {
  if (now === before) return [];
  if (now instanceof ResourceMap && before instanceof ResourceMap) return now.changedSince(before);
  return new Set([...now.keys(), ...before?.keys() ?? []]);
}
