/** Desired status of a BackendTLSPolicy: one entry per Gateway of ours that uses it. */
import type { PolicyDecision } from "../attach/backend_tls.ts";
import { GATEWAY_GROUP, type ParentRef } from "../model/objects.ts";
import { acceptedCondition, type DesiredCondition, resolvedRefsCondition } from "./conditions.ts";

/** Entries that a policy's status may have, those of other controllers included. */
export const MAX_ANCESTORS = 16;

export interface PolicyAncestorStatus {
  ancestorRef: ParentRef;
  controllerName: string;
  conditions: DesiredCondition[];
}

export interface BackendTlsPolicyStatus {
  kind: "BackendTLSPolicy";
  /** Ours; entries of other controllers are not in here and stay as they are. */
  ancestors: PolicyAncestorStatus[];
}

export interface PolicyStatusContext {
  controllerName: string;
  /** Scopes of the Gateways with routes to what the policy targets. */
  scopes: Iterable<string>;
}

/** Undefined when no Gateway uses the policy: it concerns nobody here. */
export function backendTlsPolicyStatus(
  { policy, accepted, resolvedRefs }: PolicyDecision,
  { controllerName, scopes }: PolicyStatusContext,
): BackendTlsPolicyStatus | undefined {
  const { generation } = policy.meta;
  const conditions = [
    acceptedCondition(accepted, { generation }),
    resolvedRefsCondition(resolvedRefs, { generation }),
  ];
  const ancestors = [...scopes].sort().slice(0, MAX_ANCESTORS).map((scope) => {
    const [, namespace = "", name = ""] = scope.split("/");
    const ancestorRef = { group: GATEWAY_GROUP, kind: "Gateway", namespace, name };
    return { ancestorRef, controllerName, conditions };
  });
  return ancestors.length === 0 ? undefined : { kind: "BackendTLSPolicy", ancestors };
}
