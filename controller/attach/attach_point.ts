/**
 * What routes see of a Gateway or ListenerSet. Narrow on purpose: a Gateway whose certificate is
 * renewed has the same attach point as before, so that none of its routes has to be decided anew.
 */
import { keyOf, type RouteGroupKind, type RouteNamespaces } from "../model/objects.ts";
import { allListeners, type GatewayDecision } from "./gateways.ts";
import { terminatesTls } from "./listeners.ts";

/** A Gateway or ListenerSet that routes can attach to. */
export interface AttachPoint {
  kind: "Gateway" | "ListenerSet";
  namespace: string;
  name: string;
  /** Of the Gateway. */
  scope: string;
  listeners: readonly AttachListener[];
}

export interface AttachListener {
  /** Its name in the snapshot. */
  key: string;
  name: string;
  port: number;
  /** Lower-case; empty = every host. */
  hostname: string;
  supportedKinds: readonly RouteGroupKind[];
  namespaces: RouteNamespaces;
  /** Clients' TLS ends here. */
  terminatesTls: boolean;
  /** Served: in the snapshot with the routes that attach. */
  usable: boolean;
}

/** By object key: of the Gateway, and of every set that names it. */
export function attachPoints(decision: GatewayDecision): Map<string, AttachPoint> {
  return new Map(
    allListeners(decision).map(({ owner, listeners }) => [keyOf(owner), {
      kind: owner.kind,
      namespace: owner.meta.namespace,
      name: owner.meta.name,
      scope: decision.scope,
      listeners: listeners.map(({ key, listener, hostname, supportedKinds, usable }) => ({
        key,
        name: listener.name,
        port: listener.port,
        hostname,
        supportedKinds,
        namespaces: listener.allowedRoutes.namespaces,
        terminatesTls: terminatesTls(listener),
        usable,
      })),
    }]),
  );
}

/** Is there nothing that a route could see of the change? */
export function sameAttachPoint(a: AttachPoint | undefined, b: AttachPoint | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
