/** Which GatewayClasses are ours, and whether we can serve them. */
import type { GatewayClass } from "../model/objects.ts";
import { type ClassReason, OK, type Outcome, refuse } from "./outcome.ts";

export interface ClassDecision {
  gatewayClass: GatewayClass;
  accepted: Outcome<ClassReason>;
}

/** Decides a class; undefined when its controllerName is not ours: then it is not touched. */
export function decideClass(
  gatewayClass: GatewayClass,
  controllerName: string,
): ClassDecision | undefined {
  if (gatewayClass.spec.controllerName !== controllerName) return undefined;
  return { gatewayClass, accepted: acceptClass(gatewayClass) };
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
