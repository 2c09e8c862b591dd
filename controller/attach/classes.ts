/** Which GatewayClasses are ours, and whether we can serve them. */
import type { GatewayClass } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import { type ClassReason, OK, type Outcome } from "./outcome.ts";
import { decideParameters, DEFAULT_SETTINGS, type GatewaySettings } from "./parameters.ts";

export interface ClassDecision {
  gatewayClass: GatewayClass;
  accepted: Outcome<ClassReason>;
  /** What its Gateways are like where they say nothing themselves. */
  settings: GatewaySettings;
}

export interface ClassContext {
  view: ClusterView;
  controllerName: string;
}

/** Decides a class; undefined when its controllerName is not ours: then it is not touched. */
export function decideClass(
  gatewayClass: GatewayClass,
  { view, controllerName }: ClassContext,
): ClassDecision | undefined {
  if (gatewayClass.spec.controllerName !== controllerName) return undefined;
  const parameters = decideParameters(gatewayClass.spec.parametersRef, {
    view,
    field: "spec.parametersRef",
    namespace: undefined,
    base: DEFAULT_SETTINGS,
    level: "class",
  });
  return parameters.ok
    ? { gatewayClass, accepted: OK, settings: parameters.settings }
    : { gatewayClass, accepted: parameters, settings: DEFAULT_SETTINGS };
}
