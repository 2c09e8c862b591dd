/** What one route and one Gateway put into a Gateway's snapshot: listeners, routes and clusters. */
import { grpcRouteId, httpRouteId, listenerId, upstreamId } from "../../shared/snapshot/ids.ts";
import type {
  ClusterResource,
  ListenerResource,
  Resource,
  RouteResource,
  StreamRouteResource,
  UpstreamResource,
} from "../../shared/snapshot/schema.ts";
import type { SnapshotFeature } from "../../shared/snapshot/features.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import { allListeners, type GatewayDecision } from "../attach/gateways.ts";
import type { GatewaySettings } from "../attach/parameters.ts";
import { type ListenerDecision, terminatesTls } from "../attach/listeners.ts";
import { type RouteDecision, ruleReferences } from "../attach/routes.ts";
import type {
  CertificateMaterial,
  ScopeContent,
  SourceObject,
  TrustMaterial,
} from "../publish/types.ts";
import { routeResource } from "./http.ts";
import { keyOf, type KubeObject, type Route } from "./objects.ts";
import { portKey } from "./port_keys.ts";
import { streamId, streamResource } from "./stream.ts";

/** A resource with the object that it came from. */
export interface Sourced {
  resource: Resource;
  source: SourceObject;
}

/** What the model takes from a route's decision. */
export interface RouteParts {
  /** Resource id. */
  id: string;
  source: SourceObject;
  /** The backends that can be talked to. */
  backends: readonly ResolvedBackend[];
  /** Keys of the policies about its backends. */
  policies: readonly string[];
  /** Scope → the resource there; only where a served listener accepted the route. */
  served: ReadonlyMap<string, RouteResource | StreamRouteResource>;
  /** Scope → every listener that accepted it, served or not. */
  accepted: ReadonlyMap<string, ReadonlySet<string>>;
}

export function routeParts(decision: RouteDecision): RouteParts {
  const { route, rules, parents } = decision;
  const served = new Map<string, Set<string>>();
  const accepted = new Map<string, Set<string>>();
  const put = (map: Map<string, Set<string>>, scope: string, name: string) => {
    const names = map.get(scope);
    if (names === undefined) map.set(scope, new Set([name]));
    else names.add(name);
  };
  for (const { gateway, listeners } of parents) {
    for (const { key, usable } of listeners) {
      put(accepted, gateway.scope, key);
      if (usable) put(served, gateway.scope, key);
    }
  }
  const references = rules.flatMap(ruleReferences);
  const policies = references.flatMap((decision) =>
    "policies" in decision ? decision.policies : []
  );
  return {
    id: routeId(route),
    source: sourceOf(route),
    backends: references.flatMap((decision) => decision.ok ? [decision] : []),
    policies: [...new Set(policies)],
    served: new Map(
      [...served].map(([scope, names]) => [scope, resourceOf(decision, names)]),
    ),
    accepted,
  };
}

function routeId(route: Route): string {
  const { namespace, name } = route.meta;
  switch (route.kind) {
    case "HTTPRoute":
      return httpRouteId(namespace, name);
    case "GRPCRoute":
      return grpcRouteId(namespace, name);
    case "TCPRoute":
    case "TLSRoute":
    case "UDPRoute":
      return streamId(route);
  }
}

function resourceOf(decision: RouteDecision, listeners: Iterable<string>) {
  const { route } = decision;
  switch (route.kind) {
    case "HTTPRoute":
    case "GRPCRoute":
      return routeResource(route, { decision, listeners });
    case "TCPRoute":
    case "TLSRoute":
    case "UDPRoute":
      return streamResource(route, { decision, listeners });
  }
}

/**
 * What a Gateway itself puts into its snapshot, by resource id: its served listeners with those of
 * its sets, and what its connections to backends share.
 */
export function gatewayParts(decision: GatewayDecision): Map<string, Sourced> {
  const { gateway } = decision;
  const { namespace, name } = gateway.meta;
  const parts = new Map<string, Sourced>();
  for (const { owner, listeners } of allListeners(decision)) {
    for (const listener of listeners) {
      const plain = listenerResource(listener);
      if (plain === undefined) continue;
      const resource = withTraffic(plain, decision.settings);
      parts.set(listenerId(namespace, name, resource.name), { resource, source: sourceOf(owner) });
    }
  }
  const upstream = upstreamResource(decision);
  if (upstream !== undefined) {
    parts.set(upstreamId(namespace, name), { resource: upstream, source: sourceOf(gateway) });
  }
  return parts;
}

function upstreamResource({ clientCertificate }: GatewayDecision): UpstreamResource | undefined {
  if (clientCertificate === undefined) return undefined;
  const { resolvedRefs, material } = clientCertificate;
  const requires: SnapshotFeature[] = ["clientCertificate"];
  if (material !== undefined) {
    return { kind: "upstream", requires, clientCertificate: material.slot };
  }
  const error = resolvedRefs.ok ? "InvalidClientCertificateRef" : resolvedRefs.reason;
  return { kind: "upstream", requires, error };
}

/**
 * The keys (`port_keys.ts`) of the ports that the accepted listeners of a Gateway and its sets declare, sorted. A listener whose
 * certificate is missing keeps its port, so that the address and port stay while it is put right.
 */
export function listenerPorts(decision: GatewayDecision): readonly number[] {
  const ports = allListeners(decision).flatMap(({ listeners }) => listeners)
    .filter(({ accepted }) => accepted.ok)
    .map(({ listener: { port, protocol } }) => portKey(port, protocol === "UDP" ? "UDP" : "TCP"));
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** The certificates that a Gateway shows to clients and to backends, by slot. */
export function certificateParts(decision: GatewayDecision): Map<string, CertificateMaterial> {
  const parts = new Map<string, CertificateMaterial>();
  const own = decision.clientCertificate?.material;
  if (own !== undefined) parts.set(own.slot, own);
  const all = allListeners(decision).flatMap(({ listeners }) => listeners);
  for (const { usable, certificates } of all) {
    if (!usable) continue;
    for (const entry of certificates) {
      if (entry.ok) parts.set(entry.material.slot, entry.material);
    }
  }
  return parts;
}

/** The authorities that clients of the served listeners of a Gateway and its sets are checked against, by slot. */
export function gatewayTrust(decision: GatewayDecision): Map<string, TrustMaterial> {
  const all = allListeners(decision).flatMap(({ listeners }) => listeners);
  return bySlot(
    all.flatMap(({ usable, clientValidation }) => usable ? clientValidation?.trust ?? [] : []),
  );
}

/** The authorities that the backends of a served route are checked against, by slot. */
export function routeTrust({ served, backends }: RouteParts): Map<string, TrustMaterial> {
  return bySlot(served.size === 0 ? [] : backends.flatMap(({ secured }) => secured?.trust ?? []));
}

function bySlot(materials: readonly TrustMaterial[]): Map<string, TrustMaterial> {
  return new Map(materials.map((material) => [material.slot, material]));
}

/** A backend as the snapshot holds it; it says for which object it is as it is. */
export function clusterPart(backend: ResolvedBackend): Sourced {
  const { source, endpoints, protocol, secured } = backend;
  const object = source.kind === "Service" ? source.service : source.backend;
  if (secured === undefined) {
    const resource: ClusterResource = { kind: "cluster", endpoints, protocol };
    return { resource, source: sourceOf(object) };
  }
  const requires: SnapshotFeature[] = ["backendTls"];
  const { settings: tls, policy } = secured;
  const resource: ClusterResource = { kind: "cluster", requires, endpoints, protocol, tls };
  return { resource, source: sourceOf(policy) };
}

/** The content of a Gateway's scope; there even without listeners or routes. */
export function scopeContent(
  decision: GatewayDecision,
  routes: readonly RouteParts[],
): ScopeContent {
  const parts = gatewayParts(decision);
  for (const { id, source, backends, served } of routes) {
    const resource = served.get(decision.scope);
    if (resource === undefined) continue;
    parts.set(id, { resource, source });
    for (const backend of backends) parts.set(backend.cluster, clusterPart(backend));
  }
  return {
    resources: new Map([...parts].map(([id, { resource }]) => [id, resource])),
    sources: new Map([...parts].map(([id, { source }]) => [id, source])),
  };
}

/** A listener as the snapshot holds it; undefined when it is not served. */
function listenerResource(decision: ListenerDecision): ListenerResource | undefined {
  const { key: name, listener, hostname, certificates, clientValidation, usable } = decision;
  const { port, protocol } = listener;
  if (!usable) return undefined;
  switch (protocol) {
    case "TCP":
      return { kind: "listener", requires: ["tcpRoute"], name, port, protocol, hostname };
    case "UDP":
      return { kind: "listener", requires: ["udpRoute"], name, port, protocol, hostname };
    case "TLS": {
      const requires: SnapshotFeature[] = ["tlsRoute"];
      const base = { kind: "listener" as const, requires, name, port, protocol, hostname };
      return terminatesTls(listener)
        ? {
          ...base,
          certificates: certificates.flatMap((one) => one.ok ? [one.material.slot] : []),
        }
        : { ...base, passthrough: true };
    }
    case "HTTPS":
      break;
    default:
      return { kind: "listener", name, port, protocol: "HTTP", hostname };
  }
  const slots = certificates.flatMap((entry) => entry.ok ? [entry.material.slot] : []);
  const resource: ListenerResource = {
    kind: "listener",
    name,
    port,
    protocol: "HTTPS",
    hostname,
    certificates: slots,
  };
  if (clientValidation === undefined) return resource;
  const requires: SnapshotFeature[] = ["clientValidation"];
  return {
    ...resource,
    requires,
    clientValidation: {
      trust: clientValidation.trust.map(({ slot }) => slot),
      mode: clientValidation.mode === "AllowValidOnly" ? "require" : "request",
    },
  };
}

/** What the Gateway's parameters say of its traffic. */
function withTraffic(
  resource: ListenerResource,
  { accessLog, maxBodyBytes }: GatewaySettings,
): ListenerResource {
  if (accessLog && maxBodyBytes === undefined) return resource;
  const requires: SnapshotFeature[] = ["listenerTraffic"];
  return {
    ...resource,
    requires: [...resource.requires ?? [], ...requires].sort(),
    ...(accessLog ? {} : { accessLog }),
    ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }),
  };
}

function sourceOf(object: KubeObject): SourceObject {
  const { uid, generation, manager } = object.meta;
  return { object: keyOf(object), uid, generation, manager };
}
