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
  decision: RouteDecision;
  listeners: Set<string>;
}

/** Routes that each scope serves, by `<scope>`, in order of namespace and name. */
export function attachedRoutes(routes: readonly RouteDecision[]): Map<string, Attached[]> {
  const scopes = new Map<string, Attached[]>();
  for (const decision of routes) {
    for (const parent of decision.parents) {
      const served = parent.listeners.filter((listener) => listener.usable);
      if (served.length === 0) continue;
      const { scope } = parent.gateway;
      const attached = scopes.get(scope) ?? [];
      scopes.set(scope, attached);
      let entry = attached.at(-1);
      // Several parentRefs of a route can name one Gateway; its resource is one.
      if (entry?.decision !== decision) attached.push(entry = { decision, listeners: new Set() });
      for (const { listener } of served) entry.listeners.add(listener.name);
    }
  }
  return scopes;
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
  for (const { decision, listeners: names } of routes) {
    const { route } = decision;
    put(httpRouteId(route.meta.namespace, route.meta.name), {
      resource: memo.resource({ decision, scope }, () => httpRouteResource(decision, names)),
      source: sourceOf(route),
    });
    for (const backend of resolvedBackends(decision)) {
      if (resources.has(backend.cluster)) continue;
      const { source } = backend;
      const object = source.kind === "Service" ? source.service : source.backend;
      put(backend.cluster, { resource: clusterResource(backend), source: sourceOf(object) });
    }
  }
  return { resources, sources };
}

/** The backends of a route that can be talked to. */
export function resolvedBackends({ rules }: RouteDecision): ResolvedBackend[] {
  return rules.flatMap(({ backends }) =>
    backends.flatMap(({ decision }) => decision.ok ? [decision] : [])
  );
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
