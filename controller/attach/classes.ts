/** Which GatewayClasses are ours, and whether we can serve them. */
import type { GatewayClass } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import { type ClassReason, OK, type Outcome, refuse } from "./outcome.ts";

export interface ClassDecision {
  gatewayClass: GatewayClass;
  accepted: Outcome<ClassReason>;
}

/** The classes whose controllerName is ours, by name. Others are not touched. */
export function decideClasses(
  view: ClusterView,
  controllerName: string,
): Map<string, ClassDecision> {
  const decisions = new Map<string, ClassDecision>();
  for (const gatewayClass of view.list("GatewayClass")) {
    if (gatewayClass.spec.controllerName !== controllerName) continue;
    decisions.set(gatewayClass.meta.name, { gatewayClass, accepted: acceptClass(gatewayClass) });
  }
  return decisions;
}

function acceptClass({ spec }: GatewayClass): Outcome<ClassReason> {
  const ref = spec.parametersRef;
  if (ref === undefined) return OK;
  return refuse(
    "InvalidParameters",
    `spec.parametersRef: ${ref.kind} "${ref.name}" of group "${ref.group}" is not read by this ` +
      "controller; remove spec.parametersRef",
  );
}
