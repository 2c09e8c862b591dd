/** Desired status of a ListenerSet and its listeners. */
import type { GatewayDecision } from "../attach/gateways.ts";
import type { ListenerSetDecision } from "../attach/listener_sets.ts";
import { OK, type Outcome, refuse } from "../attach/outcome.ts";
import { conditionOf, type DesiredCondition } from "./conditions.ts";
import {
  gatewayInvalid,
  type GatewayStatusContext,
  type ListenerStatus,
  listenerStatus,
  programmedCondition,
} from "./gateway.ts";

export interface ListenerSetStatus {
  kind: "ListenerSet";
  conditions: DesiredCondition[];
  listeners: ListenerStatus[];
}

/** `context.programmed`: whether the proxies serve this generation of the set. */
export function listenerSetStatus(
  decision: ListenerSetDecision,
  { gateway, context }: { gateway: GatewayDecision; context: GatewayStatusContext },
): ListenerSetStatus {
  const { set, accepted, listenersNotValid, listeners } = decision;
  const { generation } = set.meta;
  return {
    kind: "ListenerSet",
    conditions: [
      conditionOf(accepted, {
        type: "Accepted",
        reason: listenersNotValid ? "ListenersNotValid" : "Accepted",
        message: listenersNotValid ? "some listeners are not valid; see theirs" : "accepted",
        generation,
      }),
      programmedCondition(
        { generation, invalid: notProgrammed(accepted, { gateway, context }) },
        context.programmed,
      ),
    ],
    listeners: listeners.map((listener) =>
      listenerStatus(listener, {
        generation,
        context,
        decision: gateway,
        // A set is told why its port is not served by the reason itself (ListenerEntryStatus).
        ...(listener.conflicted.ok ? {} : { invalid: listener.conflicted }),
      })
    ),
  };
}

/** Why a set cannot be programmed, whatever the proxies say. */
function notProgrammed(
  accepted: Outcome<string>,
  { gateway, context }: { gateway: GatewayDecision; context: GatewayStatusContext },
): Outcome<string> {
  if (!accepted.ok) return accepted;
  const parent = gatewayInvalid(gateway, context);
  return parent.ok ? OK : refuse("ParentNotProgrammed", parent.message);
}
