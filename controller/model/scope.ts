/** One Gateway's snapshot content: listeners, routes and the clusters that the routes use. */
import { httpRouteId, listenerId } from "../../shared/snapshot/ids.ts";
import type {
  ClusterResource,
  HttpRouteResource,
  ListenerResource,
  Resource,
} from "../../shared/snapshot/schema.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import type { GatewayDecision } from "../attach/gateways.ts";
import type { ListenerDecision } from "../attach/listeners.ts";
import type { RouteDecision } from "../attach/routes.ts";
import type { ScopeContent, SourceObject } from "../publish/types.ts";
import { httpRouteResource } from "./http.ts";
import { keyOf, type KubeObject } from "./objects.ts";

/** Attached to a Gateway: a route with the served listeners that accepted it. */
export interface Attached {
  route: RouteParts;
  listeners: ReadonlySet<string>;
}

/** What the model needs of a route's decision, worked out once per decision. */
export interface RouteParts {
  decision: RouteDecision;
  /** `<Kind>/<namespace>/<name>`. */
  key: string;
  /** Resource id. */
  id: string;
  source: SourceObject;
  /** The backends that can be talked to. */
  backends: readonly ResolvedBackend[];
  /** Scope → the served listeners that accepted it; one entry however many parentRefs name it. */
  served: ReadonlyMap<string, ReadonlySet<string>>;
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
    for (const { listener, usable } of listeners) {
      put(accepted, gateway.scope, listener.name);
      if (usable) put(served, gateway.scope, listener.name);
    }
  }
  return {
    decision,
    key: keyOf(route),
    id: httpRouteId(route.meta.namespace, route.meta.name),
    source: sourceOf(route),
    backends: rules.flatMap(({ backends }) =>
      backends.flatMap(({ decision }) => decision.ok ? [decision] : [])
    ),
    served,
    accepted,
  };
}

/** Routes that each scope serves, by `<scope>`, in order of namespace and name. */
export function attachedRoutes(routes: readonly RouteParts[]): Map<string, Attached[]> {
  const scopes = new Map<string, Attached[]>();
  for (const route of routes) {
    for (const [scope, listeners] of route.served) {
      const attached = scopes.get(scope);
      if (attached === undefined) scopes.set(scope, [{ route, listeners }]);
      else attached.push({ route, listeners });
    }
  }
  return scopes;
}

/** Scope → listener → accepted routes, whether the listener is served or not. */
export function countRoutes(routes: readonly RouteParts[]): Map<string, Map<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  for (const { accepted } of routes) {
    for (const [scope, listeners] of accepted) {
      let count = counts.get(scope);
      if (count === undefined) counts.set(scope, count = new Map());
      for (const name of listeners) count.set(name, (count.get(name) ?? 0) + 1);
    }
  }
  return counts;
}

/** A Gateway with the routes that it serves. */
export interface ScopeDecision extends Pick<GatewayDecision, "gateway" | "scope" | "listeners"> {
  routes: readonly Attached[];
}

/** Gives a route's resource again as long as its decision is the same. */
export interface ResourceMemo {
  resource(
    key: { decision: RouteDecision; scope: string },
    make: () => HttpRouteResource,
  ): HttpRouteResource;
}

/** The content of a Gateway's scope; there even without listeners or routes. */
export function scopeContent(
  { gateway, scope, listeners, routes }: ScopeDecision,
  memo: ResourceMemo,
): ScopeContent {
  const resources = new Map<string, Resource>();
  const sources = new Map<string, SourceObject>();
  const put = (id: string, entry: { resource: Resource; source: SourceObject }) => {
    resources.set(id, entry.resource);
    sources.set(id, entry.source);
  };
  const { namespace, name } = gateway.meta;
  for (const listener of listeners) {
    const resource = listenerResource(listener);
    if (resource === undefined) continue;
    put(listenerId(namespace, name, resource.name), { resource, source: sourceOf(gateway) });
  }
  for (const { route: { decision, id, source, backends }, listeners: names } of routes) {
    resources.set(id, memo.resource({ decision, scope }, () => httpRouteResource(decision, names)));
    sources.set(id, source);
    for (const backend of backends) {
      if (resources.has(backend.cluster)) continue;
      const { source } = backend;
      const object = source.kind === "Service" ? source.service : source.backend;
      put(backend.cluster, { resource: clusterResource(backend), source: sourceOf(object) });
    }
  }
  return { resources, sources };
}

/** A listener as the snapshot holds it; undefined when it is not served. */
function listenerResource(decision: ListenerDecision): ListenerResource | undefined {
  const { listener, hostname, certificates, usable } = decision;
  const { name, port } = listener;
  if (!usable) return undefined;
  if (listener.protocol !== "HTTPS") {
    return { kind: "listener", name, port, protocol: "HTTP", hostname };
  }
  const slots = certificates.flatMap((entry) => entry.ok ? [entry.material.slot] : []);
  return { kind: "listener", name, port, protocol: "HTTPS", hostname, certificates: slots };
}

function clusterResource(backend: ResolvedBackend): ClusterResource {
  return { kind: "cluster", endpoints: backend.endpoints, protocol: backend.protocol };
}

function sourceOf(object: KubeObject): SourceObject {
  const { uid, generation, manager } = object.meta;
  return { object: keyOf(object), uid, generation, manager };
}
