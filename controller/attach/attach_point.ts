/**
 * What routes see of a Gateway. Narrow on purpose: a Gateway whose certificate is renewed has the
 * same attach point as before, so that none of its routes has to be decided anew.
 */
import type { RouteGroupKind, RouteNamespaces } from "../model/objects.ts";
import type { GatewayDecision } from "./gateways.ts";

/** A Gateway that routes can attach to. */
export interface AttachPoint {
  namespace: string;
  name: string;
  scope: string;
  listeners: readonly AttachListener[];
}

export interface AttachListener {
  name: string;
  port: number;
  /** Lower-case; empty = every host. */
  hostname: string;
  supportedKinds: readonly RouteGroupKind[];
  namespaces: RouteNamespaces;
  /** Served: in the snapshot with the routes that attach. */
  usable: boolean;
}

export function attachPoint({ gateway, scope, listeners }: GatewayDecision): AttachPoint {
  const { namespace, name } = gateway.meta;
  return {
    namespace,
    name,
    scope,
    listeners: listeners.map(({ listener, hostname, supportedKinds, usable }) => ({
      name: listener.name,
      port: listener.port,
      hostname,
      supportedKinds,
      namespaces: listener.allowedRoutes.namespaces,
      usable,
    })),
  };
}

/** Is there nothing that a route could see of the change? */
export function sameAttachPoint(a: AttachPoint | undefined, b: AttachPoint | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
