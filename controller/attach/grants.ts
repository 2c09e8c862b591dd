/** May an object refer to another in a foreign namespace? Gateway API: ReferenceGrant. */
import type { ClusterView } from "../store/view.ts";

export interface Reference {
  from: { group: string; kind: string; namespace: string };
  to: { group: string; kind: string; namespace: string; name: string };
}

/**
 * References inside a namespace need no grant; others need one in the target's namespace. Grants
 * add up; each entry of `from` goes with each of `to`. Asked before the target's existence, so that
 * nobody learns what is in a namespace that grants nothing.
 */
export function referenceAllowed(view: ClusterView, { from, to }: Reference): boolean {
  if (from.namespace === to.namespace) return true;
  return view.grantsIn(to.namespace).some(({ spec }) =>
    spec.from.some((entry) =>
      entry.group === from.group && entry.kind === from.kind && entry.namespace === from.namespace
    ) &&
    spec.to.some((entry) =>
      entry.group === to.group && entry.kind === to.kind &&
      (entry.name === undefined || entry.name === to.name)
    )
  );
}

/** How to fix a reference that no grant allows. */
export function grantHint({ from, to }: Reference): string {
  return `add a ReferenceGrant in namespace "${to.namespace}" from ${from.kind} in namespace ` +
    `"${from.namespace}" to ${to.kind} "${to.name}"`;
}
