/** Weighted choice among the backends of a rule. */
import type { TableRule } from "../table/types.ts";

/**
 * Index of the backend for one request: each gets weight / sum of weights of the requests, a
 * weight of 0 none; an invalid backend keeps its share (answered with 500), so that a broken
 * reference never silently sends the others more.
 *
 * @param random in [0, 1)
 * @returns -1 when there is nothing to choose from
 */
export function pickBackend(rule: TableRule, random: () => number): number {
  const { backends, totalWeight } = rule;
  if (totalWeight <= 0) return -1;
  if (backends.length === 1) return 0;
  let left = random() * totalWeight;
  let last = -1;
  for (let i = 0; i < backends.length; i++) {
    const weight = backends[i]!.weight;
    if (weight <= 0) continue;
    left -= weight;
    last = i;
    if (left < 0) return i;
  }
  return last;
}
