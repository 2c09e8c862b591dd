/** To which listeners a parentRef of a route attaches, and why not to others. */
import { GATEWAY_GROUP, objectKey, type ParentRef, type Route } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import type { AttachListener, AttachPoint } from "./attach_point.ts";
import { hostsInCommon } from "./hostnames.ts";
import { namespaceAllowed } from "./namespaces.ts";
import { OK, type Outcome, refuse, type RouteAcceptedReason } from "./outcome.ts";

export interface ParentDecision {
  parentRef: ParentRef;
  gateway: AttachPoint;
  accepted: Outcome<RouteAcceptedReason>;
  /** Listeners that the route attaches to, served or not; empty unless accepted. */
  listeners: AttachListener[];
}

export interface ParentContext {
  view: ClusterView;
  /** By object key; only Gateways of ours, and ListenerSets that name one. */
  gateways: { get(key: string): AttachPoint | undefined };
  /** Whether the route's own content can be served. */
  content: Outcome<RouteAcceptedReason>;
}

/** Decides the parentRefs that name Gateways of ours, or sets of them, in the order of the spec. */
export function decideParents(route: Route, context: ParentContext): ParentDecision[] {
  const decisions: ParentDecision[] = [];
  for (const parentRef of route.spec.parentRefs ?? []) {
    const { group, kind, name } = parentRef;
    if (group !== GATEWAY_GROUP || (kind !== "Gateway" && kind !== "ListenerSet")) continue;
    const namespace = parentRef.namespace ?? route.meta.namespace;
    const gateway = context.gateways.get(objectKey(kind, namespace, name));
    if (gateway === undefined) continue;
    decisions.push(decideParent({ route, parentRef, gateway }, context));
  }
  return decisions;
}

interface Attachment {
  route: Route;
  parentRef: ParentRef;
  gateway: AttachPoint;
}

function decideParent(attachment: Attachment, context: ParentContext): ParentDecision {
  const { parentRef, gateway } = attachment;
  const found = attachedListeners(attachment, context.view);
  if (!Array.isArray(found)) return { parentRef, gateway, accepted: found, listeners: [] };
  if (!context.content.ok) return { parentRef, gateway, accepted: context.content, listeners: [] };
  return { parentRef, gateway, accepted: OK, listeners: found };
}

/** Each step narrows the listeners; the step that leaves none gives the reason. */
function attachedListeners(
  { route, parentRef, gateway }: Attachment,
  view: ClusterView,
): AttachListener[] | (Outcome<RouteAcceptedReason> & { ok: false }) {
  const { namespace } = gateway;
  const parent = `${gateway.kind} "${namespace}/${gateway.name}"`;
  if (gateway.listeners.length === 0) {
    return refuse("NoMatchingParent", `${parent} adds no listeners to its Gateway; see its status`);
  }
  const named = gateway.listeners.filter((listener) =>
    (parentRef.sectionName === undefined || listener.name === parentRef.sectionName) &&
    (parentRef.port === undefined || listener.port === parentRef.port)
  );
  if (named.length === 0) {
    const wanted = [
      ...(parentRef.sectionName === undefined ? [] : [`sectionName "${parentRef.sectionName}"`]),
      ...(parentRef.port === undefined ? [] : [`port ${parentRef.port}`]),
    ].join(" and ");
    const there = gateway.listeners.map(({ name, port }) => `${name}:${port}`);
    return refuse(
      "NoMatchingParent",
      `${parent} has no listener with ${wanted}; it has ${there.join(", ")}`,
    );
  }
  const kinds = named.filter(({ supportedKinds }) =>
    supportedKinds.some((kind) => kind.group === GATEWAY_GROUP && kind.kind === route.kind)
  );
  if (kinds.length === 0) {
    return refuse(
      "NotAllowedByListeners",
      `no listener of ${parent} that the parentRef names allows ${route.kind}s; ` +
        "see its allowedRoutes.kinds and protocol",
    );
  }
  const allowed = kinds.filter(({ namespaces }) =>
    namespaceAllowed(namespaces, {
      view,
      own: namespace,
      route: route.meta.namespace,
    })
  );
  if (allowed.length === 0) {
    return refuse(
      "NotAllowedByListeners",
      `${parent} does not allow routes from namespace ` +
        `"${route.meta.namespace}"; see allowedRoutes.namespaces of its listeners`,
    );
  }
  const hostnames = hostnamesOf(route);
  const common = allowed.filter(({ hostname }) => hostsInCommon(hostnames, hostname));
  if (common.length === 0) {
    const theirs = allowed.map(({ hostname }) => hostname).join(", ");
    return refuse(
      "NoMatchingListenerHostname",
      `spec.hostnames (${hostnames.join(", ")}) has no host in common with the listeners of ` +
        `${parent} (${theirs})`,
    );
  }
  return common;
}

/** Connections and datagrams of TCPRoutes and UDPRoutes name no host. */
function hostnamesOf(route: Route): readonly string[] {
  switch (route.kind) {
    case "HTTPRoute":
    case "GRPCRoute":
    case "TLSRoute":
      return route.spec.hostnames ?? [];
    case "TCPRoute":
    case "UDPRoute":
      return [];
  }
}
