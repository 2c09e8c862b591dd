/** Which Gateways use which BackendTLSPolicies, through their routes. */
import type { RouteParts } from "../model/scope.ts";

export class PolicyUses {
  /** Policy key → scope → number of routes. */
  readonly #uses = new Map<string, Map<string, number>>();
  readonly #touched = new Set<string>();

  /** A route was decided, or decided anew. */
  setRoute(before: RouteParts | undefined, after: RouteParts | undefined): void {
    this.#count(before, -1);
    this.#count(after, 1);
  }

  #count(parts: RouteParts | undefined, by: 1 | -1): void {
    for (const policy of parts?.policies ?? []) {
      this.#touched.add(policy);
      let scopes = this.#uses.get(policy);
      if (scopes === undefined) this.#uses.set(policy, scopes = new Map());
      for (const scope of parts?.accepted.keys() ?? []) {
        const count = (scopes.get(scope) ?? 0) + by;
        if (count === 0) scopes.delete(scope);
        else scopes.set(scope, count);
      }
      if (scopes.size === 0) this.#uses.delete(policy);
    }
  }

  /** Scopes of the Gateways that use a policy. */
  of(policy: string): Iterable<string> {
    return this.#uses.get(policy)?.keys() ?? [];
  }

  /** Policies whose uses may be others since the last call. */
  take(): Set<string> {
    const touched = new Set(this.#touched);
    this.#touched.clear();
    return touched;
  }
}
