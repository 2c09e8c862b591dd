/** Names of scopes and resources. An id never holds an index: it survives reordering. */

/** The scope of a Gateway: its unit of versioning, rollback and subscription. */
export function gatewayScope(namespace: string, name: string): string {
  return `gateway/${namespace}/${name}`;
}

/** The catalogue of a fleet: the signed list of the scopes that it serves. */
export function fleetScope(fleet: string): string {
  return `fleet/${fleet}`;
}

/** Id of a listener in its Gateway's snapshot. */
export function listenerId(namespace: string, gateway: string, listener: string): string {
  return `listener/${namespace}/${gateway}/${listener}`;
}

/** Id of an HTTPRoute in the snapshot of every Gateway that it is attached to. */
export function httpRouteId(namespace: string, name: string): string {
  return `httproute/${namespace}/${name}`;
}

/** Id of a GRPCRoute in the snapshot of every Gateway that it is attached to. */
export function grpcRouteId(namespace: string, name: string): string {
  return `grpcroute/${namespace}/${name}`;
}

/** Id of a TCPRoute, TLSRoute or UDPRoute in the snapshot of every Gateway that it is attached to. */
export function streamRouteId(
  kind: "tcproute" | "tlsroute" | "udproute",
  { namespace, name }: { namespace: string; name: string },
): string {
  return `${kind}/${namespace}/${name}`;
}

/** Id of a cluster; `variant` tells apart several ways to talk to one Service port. */
export function clusterId(
  namespace: string,
  service: string,
  port: number,
  variant?: string,
): string {
  const base = `cluster/${namespace}/${service}/${port}`;
  return variant === undefined ? base : `${base}/${variant}`;
}

/** Id of what the connections of a Gateway to its backends share. */
export function upstreamId(namespace: string, gateway: string): string {
  return `upstream/${namespace}/${gateway}`;
}

/** Id of a scope in the catalogue. */
export function scopeId(scope: string): string {
  return `scope/${scope}`;
}

/** Key of the endpoint set of a Service port. A number may be a port of TCP and another of UDP. */
export function endpointsKey(
  namespace: string,
  service: string,
  port: number,
  transport: "tcp" | "udp" = "tcp",
): string {
  return `${namespace}/${service}/${port}${transport === "udp" ? "-udp" : ""}`;
}

/**
 * Key of the endpoint set of a LightBackend. The dot keeps it apart from every Service: a Service
 * name is one DNS label.
 */
export function lightBackendKey(namespace: string, name: string): string {
  return `${namespace}/${name}.lightbackend/0`;
}

/** Slot of the authorities in a ConfigMap. */
export function trustSlot(namespace: string, name: string): string {
  return `ca/${namespace}/${name}`;
}

/** Slot of a certificate held in a Secret. */
export function certificateSlot(namespace: string, name: string): string {
  return `cert/${namespace}/${name}`;
}
