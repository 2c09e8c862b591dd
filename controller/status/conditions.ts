/** Conditions as Kubernetes stores them, made from decisions. */
import type { Outcome } from "../attach/outcome.ts";

/** A condition without its time: what should be. */
export interface DesiredCondition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  observedGeneration: number;
}

/** A condition as it is stored. */
export interface Condition extends DesiredCondition {
  /** RFC 3339, seconds: when `status` last changed. */
  lastTransitionTime: string;
}

export interface Positive {
  type: string;
  /** Reason when the answer is yes. */
  reason: string;
  message: string;
  generation: number;
}

/** True for a yes, False with the decision's own reason and message for a no. */
export function conditionOf(outcome: Outcome<string>, positive: Positive): DesiredCondition {
  const { type, generation } = positive;
  return outcome.ok
    ? {
      type,
      status: "True",
      reason: positive.reason,
      message: positive.message,
      observedGeneration: generation,
    }
    : {
      type,
      status: "False",
      reason: outcome.reason,
      message: shortened(outcome.message),
      observedGeneration: generation,
    };
}

/** The `Accepted` condition of a route or a policy. */
export function acceptedCondition(
  outcome: Outcome<string>,
  { generation }: Pick<Positive, "generation">,
): DesiredCondition {
  return conditionOf(outcome, {
    type: "Accepted",
    reason: "Accepted",
    message: "accepted",
    generation,
  });
}

/** The `ResolvedRefs` condition of a route or a policy. */
export function resolvedRefsCondition(
  outcome: Outcome<string>,
  { generation }: Pick<Positive, "generation">,
): DesiredCondition {
  return conditionOf(outcome, {
    type: "ResolvedRefs",
    reason: "ResolvedRefs",
    message: "all references are resolved",
    generation,
  });
}

/** The API server refuses messages above 32 KiB. */
function shortened(message: string): string {
  return message.length <= 4096 ? message : `${message.slice(0, 4095)}…`;
}
