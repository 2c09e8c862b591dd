/** Desired status of a route: one entry per parentRef that names a Gateway of ours. */
import type { RouteDecision, RuleDecision } from "../attach/routes.ts";
import type { ParentRef, Route } from "../model/objects.ts";
import { acceptedCondition, type DesiredCondition, resolvedRefsCondition } from "./conditions.ts";

export interface RouteParentStatus {
  /** As declared, defaults included: it is compared by deep equality. */
  parentRef: ParentRef;
  controllerName: string;
  conditions: DesiredCondition[];
}

export interface RouteStatus {
  kind: Route["kind"];
  /** Ours; entries of other controllers are not in here and stay as they are. */
  parents: RouteParentStatus[];
}

export function routeStatus(
  { route, parents, rules, resolvedRefs }: RouteDecision,
  controllerName: string,
): RouteStatus {
  const { generation } = route.meta;
  const partial = partiallyInvalid(rules, generation);
  return {
    kind: route.kind,
    parents: parents.map(({ parentRef, accepted }) => ({
      parentRef: { ...parentRef },
      controllerName,
      conditions: [
        acceptedCondition(accepted, { generation }),
        // Set even when the route is not accepted: references are judged on their own.
        resolvedRefsCondition(resolvedRefs, { generation }),
        // Not set on a route that is not accepted.
        ...(accepted.ok ? partial : []),
      ],
    })),
  };
}

/** Only there when it is true; the message has the prefix that the spec demands. */
function partiallyInvalid(
  rules: readonly RuleDecision[],
  generation: number,
): DesiredCondition[] {
  const dropped = rules.flatMap(({ content }) => content.ok ? [] : [content]);
  const [first] = dropped;
  if (first === undefined) return [];
  const messages = dropped.map(({ message }) => message).join("; ");
  return [{
    type: "PartiallyInvalid",
    status: "True",
    reason: first.reason,
    message: `Dropped Rule: ${messages}`,
    observedGeneration: generation,
  }];
}
