/** What one route and one Gateway put into a Gateway's snapshot: listeners, routes and clusters. */
import { httpRouteId, listenerId } from "../../shared/snapshot/ids.ts";
import type {
  ClusterResource,
  HttpRouteResource,
  ListenerResource,
  Resource,
} from "../../shared/snapshot/schema.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import { allListeners, type GatewayDecision } from "../attach/gateways.ts";
import type { ListenerDecision } from "../attach/listeners.ts";
import { type RouteDecision, ruleReferences } from "../attach/routes.ts";
import type { CertificateMaterial, ScopeContent, SourceObject } from "../publish/types.ts";
import { httpRouteResource } from "./http.ts";
import { keyOf, type KubeObject } from "./objects.ts";

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
  /** Scope → the resource there; only where a served listener accepted the route. */
  served: ReadonlyMap<string, HttpRouteResource>;
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
  return {
    id: httpRouteId(route.meta.namespace, route.meta.name),
    source: sourceOf(route),
    backends: rules.flatMap(ruleReferences).flatMap((decision) => decision.ok ? [decision] : []),
    served: new Map(
      [...served].map(([scope, names]) => [scope, httpRouteResource(decision, names)]),
    ),
    accepted,
  };
}

/** The served listeners of a Gateway and its sets, by resource id. */
export function listenerParts(decision: GatewayDecision): Map<string, Sourced> {
  const { namespace, name } = decision.gateway.meta;
  const parts = new Map<string, Sourced>();
  for (const { owner, listeners } of allListeners(decision)) {
    for (const listener of listeners) {
      const resource = listenerResource(listener);
      if (resource === undefined) continue;
      parts.set(listenerId(namespace, name, resource.name), { resource, source: sourceOf(owner) });
    }
  }
  return parts;
}

/**
 * The ports that the accepted listeners of a Gateway and its sets declare, sorted. A listener whose certificate
 * is missing keeps its port, so that the address and port stay while it is put right.
 */
export function listenerPorts(decision: GatewayDecision): readonly number[] {
  const ports = allListeners(decision).flatMap(({ listeners }) => listeners)
    .filter(({ accepted }) => accepted.ok)
    .map(({ listener }) => listener.port);
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** The certificates that the served listeners of a Gateway use, by slot. */
export function certificateParts(decision: GatewayDecision): Map<string, CertificateMaterial> {
  const parts = new Map<string, CertificateMaterial>();
  const all = allListeners(decision).flatMap(({ listeners }) => listeners);
  for (const { usable, certificates } of all) {
    if (!usable) continue;
    for (const entry of certificates) {
      if (entry.ok) parts.set(entry.material.slot, entry.material);
    }
  }
  return parts;
}

/** A backend as the snapshot holds it. */
export function clusterPart(backend: ResolvedBackend): Sourced {
  const { source, endpoints, protocol } = backend;
  const resource: ClusterResource = { kind: "cluster", endpoints, protocol };
  return {
    resource,
    source: sourceOf(source.kind === "Service" ? source.service : source.backend),
  };
}

/** The content of a Gateway's scope; there even without listeners or routes. */
export function scopeContent(
  decision: GatewayDecision,
  routes: readonly RouteParts[],
): ScopeContent {
  const parts = listenerParts(decision);
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
  const { key: name, listener, hostname, certificates, usable } = decision;
  const { port } = listener;
  if (!usable) return undefined;
  if (listener.protocol !== "HTTPS") {
    return { kind: "listener", name, port, protocol: "HTTP", hostname };
  }
  const slots = certificates.flatMap((entry) => entry.ok ? [entry.material.slot] : []);
  return { kind: "listener", name, port, protocol: "HTTPS", hostname, certificates: slots };
}

function sourceOf(object: KubeObject): SourceObject {
  const { uid, generation, manager } = object.meta;
  return { object: keyOf(object), uid, generation, manager };
}
