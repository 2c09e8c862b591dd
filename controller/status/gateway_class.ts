/** Desired status of a GatewayClass. */
import type { ClassDecision } from "../attach/classes.ts";
import { BUNDLE_VERSION, FEATURES } from "../features.ts";
import { conditionOf, type DesiredCondition } from "./conditions.ts";

export interface GatewayClassStatus {
  kind: "GatewayClass";
  conditions: DesiredCondition[];
  /** Sorted by name. */
  supportedFeatures: { name: string }[];
}

export function gatewayClassStatus(
  { gatewayClass, accepted }: ClassDecision,
): GatewayClassStatus {
  const generation = gatewayClass.meta.generation;
  return {
    kind: "GatewayClass",
    conditions: [
      conditionOf(accepted, {
        type: "Accepted",
        reason: "Accepted",
        message: "handled by this controller",
        generation,
      }),
      {
        type: "SupportedVersion",
        status: "True",
        reason: "SupportedVersion",
        message: `Gateway API ${BUNDLE_VERSION}`,
        observedGeneration: generation,
      },
    ],
    supportedFeatures: FEATURES.map(({ name }) => ({ name })),
  };
}
