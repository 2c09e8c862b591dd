/** Which ListenerSets may add listeners to a Gateway, and what each of them adds. */
import type { Gateway, GatewayListener, ListenerSet } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import { decideListeners, type ListenerDecision, type ListenersContext } from "./listeners.ts";
import { namespaceAllowed } from "./namespaces.ts";
import { type ListenerSetReason, OK, type Outcome, refuse } from "./outcome.ts";

export interface ListenerSetDecision {
  set: ListenerSet;
  accepted: Outcome<ListenerSetReason>;
  /** Some listeners cannot be served, though others can. */
  listenersNotValid: boolean;
  /** Empty when the Gateway does not allow the set: it is told nothing of what is there. */
  listeners: ListenerDecision[];
}

/**
 * Decides the ListenerSets that name a Gateway, in their precedence: after the Gateway's own
 * listeners the oldest set, then by `<namespace>/<name>` (ListenerSetSpec.listeners). Of listeners
 * that conflict the first wins.
 */
export function decideListenerSets(
  context: Omit<ListenersContext, "set" | "earlier">,
  { gatewayAccepted }: { gatewayAccepted: boolean },
): ListenerSetDecision[] {
  const { view, gateway } = context;
  const { namespace, name } = gateway.meta;
  // The Gateway's own listeners come first even where they are in conflict with one another.
  const earlier: GatewayListener[] = [...gateway.spec.listeners];
  return [...view.listenerSetsOf(namespace, name)].sort(byPrecedence).map((set) => {
    if (!setAllowed(set, { view, gateway })) return notAllowed(set, gateway);
    const decided = decideListeners({ ...context, set, earlier });
    for (const { listener, accepted } of decided) if (accepted.ok) earlier.push(listener);
    const listeners = gatewayAccepted
      ? decided
      : decided.map((entry) => ({ ...entry, usable: false }));
    return {
      set,
      accepted: acceptSet(listeners, { gateway, gatewayAccepted }),
      listenersNotValid: listeners.some(({ usable }) => !usable),
      listeners,
    };
  });
}

function byPrecedence({ meta: a }: ListenerSet, { meta: b }: ListenerSet): number {
  if (a.created !== b.created) return a.created - b.created;
  return `${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1;
}

/** `allowedListeners`; without it no set may (Gateway.spec.allowedListeners). */
function setAllowed(
  { meta }: ListenerSet,
  { view, gateway }: { view: ClusterView; gateway: Gateway },
): boolean {
  const { from, selector } = gateway.spec.allowedListeners?.namespaces ?? { from: "None" };
  if (from === "None") return false;
  return namespaceAllowed({ from, ...(selector === undefined ? {} : { selector }) }, {
    view,
    own: gateway.meta.namespace,
    route: meta.namespace,
  });
}

function notAllowed(set: ListenerSet, { meta }: Gateway): ListenerSetDecision {
  return {
    set,
    accepted: refuse(
      "NotAllowed",
      `Gateway "${meta.namespace}/${meta.name}" allows no listeners from namespace ` +
        `"${set.meta.namespace}"; see its spec.allowedListeners`,
    ),
    listenersNotValid: false,
    listeners: [],
  };
}

function acceptSet(
  listeners: readonly ListenerDecision[],
  { gateway: { meta }, gatewayAccepted }: { gateway: Gateway; gatewayAccepted: boolean },
): Outcome<ListenerSetReason> {
  if (!gatewayAccepted) {
    return refuse(
      "ParentNotAccepted",
      `Gateway "${meta.namespace}/${meta.name}" is not accepted; see its conditions`,
    );
  }
  if (listeners.some(({ usable }) => usable)) return OK;
  const [first] = listeners;
  const cause = first === undefined
    ? undefined
    : [first.accepted, first.resolvedRefs].find(({ ok }) => !ok);
  const told = cause === undefined || cause.ok
    ? ""
    : `: listener "${first?.listener.name}": ${cause.message}`;
  return refuse("ListenersNotValid", `no listener is valid${told}`);
}
