/** The statuses of BackendTLSPolicies, from one compile to the next. */
import { decidePolicy, type PolicyDecision } from "../attach/backend_tls.ts";
import type { TrustCache } from "../attach/trust.ts";
import {
  type BackendTlsPolicyStatus,
  backendTlsPolicyStatus,
} from "../status/backend_tls_policy.ts";
import type { StoredView } from "../store/view.ts";
import { PolicyUses } from "./policy_uses.ts";
import { Stage, type StageOptions } from "./stage.ts";

export interface PolicyStatusesOptions
  extends Pick<StageOptions<"BackendTLSPolicy", PolicyDecision>, "observer" | "referred"> {
  controllerName: string;
  trustCache: TrustCache;
}

export class PolicyStatuses {
  /** Told by whoever decides routes. */
  readonly uses = new PolicyUses();
  readonly #stage: Stage<"BackendTLSPolicy", PolicyDecision>;
  readonly #controllerName: string;

  constructor({ controllerName, trustCache, ...observed }: PolicyStatusesOptions) {
    this.#controllerName = controllerName;
    this.#stage = new Stage({
      ...observed,
      kind: "BackendTLSPolicy",
      make: (policy, { view }) => decidePolicy(policy, { view, trustCache }),
    });
  }

  /** Statuses that may be others now, by the key of the policy; undefined: there is none. */
  *update(
    view: StoredView,
    touched: ReadonlySet<string>,
  ): Generator<[string, BackendTlsPolicyStatus | undefined]> {
    const changed = new Set(this.#stage.update(view, touched).map(({ key }) => key));
    for (const key of changed.union(this.uses.take())) {
      const decision = this.#stage.get(key);
      const context = { controllerName: this.#controllerName, scopes: this.uses.of(key) };
      yield [key, decision && backendTlsPolicyStatus(decision, context)];
    }
  }
}
