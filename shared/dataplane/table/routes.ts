/** One route of a snapshot, compiled: its rules with resolved backends, and its candidates. */
import type {
  ClusterResource,
  HttpBackend,
  HttpFilter,
  HttpMatch,
  HttpRule,
  Resource,
  Resources,
  RouteResource,
  StreamRouteResource,
  UpstreamResource,
} from "../../snapshot/schema.ts";
import { hostnamesIntersect } from "../../gwapi/hostname.ts";
import { TableError } from "./table_error.ts";
import type {
  Candidate,
  TableBackend,
  TableListener,
  TableMirror,
  TableRule,
  TableTls,
} from "./types.ts";

/** A route with what its candidates share. */
export interface CompiledRoute {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly resource: AnyRouteResource;
  readonly rules: readonly TableRule[];
}

/** What a route is compiled in. */
export interface RouteContext {
  resources: Resources;
  /** What connections to backends share in this scope. */
  upstream: UpstreamResource | undefined;
}

/** A route of requests, connections or datagrams. */
export type AnyRouteResource = RouteResource | StreamRouteResource;

/** Is it one that requests, connections or datagrams are matched against? */
export function isRoute(resource: Resource | undefined): resource is AnyRouteResource {
  switch (resource?.kind) {
    case "httproute":
    case "grpcroute":
    case "tcproute":
    case "tlsroute":
    case "udproute":
      return true;
    default:
      return false;
  }
}

/** What a rule of connections or datagrams takes: all that its listener and hostnames do. */
const EVERYTHING: readonly HttpMatch[] = [{ path: { type: "prefix", value: "/" } }];

/** The rules of a route, those of connections and datagrams in the form of the others. */
function rulesOf(route: AnyRouteResource): readonly HttpRule[] {
  if (route.kind === "httproute" || route.kind === "grpcroute") return route.rules;
  return route.rules.map((rule) => ({ ...rule, matches: [...EVERYTHING], filters: [] }));
}

/** Compiles a route. Throws a {@linkcode TableError} when a cluster is not in the snapshot. */
export function compileRoute(
  id: string,
  resource: AnyRouteResource,
  context: RouteContext,
): CompiledRoute {
  const { namespace, name } = routeName(id);
  return { id, namespace, name, resource, rules: compileRules(id, resource, context) };
}

/** Does a route send anything to one of these clusters? */
export function refersTo(route: CompiledRoute, clusters: ReadonlySet<string>): boolean {
  const names = ({ cluster }: { cluster: string }) => clusters.has(cluster);
  return route.rules.some(({ mirrors, backends }) =>
    mirrors.some(names) ||
    backends.some((backend) => names(backend) || backend.mirrors.some(names))
  );
}

/** `<kind>/<ns>/<name>` → its last two parts. */
function routeName(id: string): { namespace: string; name: string } {
  const [, namespace, name] = id.split("/");
  if (namespace === undefined || name === undefined) throw new TableError(id, "malformed id");
  return { namespace, name };
}

function compileRules(id: string, route: AnyRouteResource, context: RouteContext): TableRule[] {
  const { namespace, name } = routeName(id);
  return rulesOf(route).map((rule: HttpRule, ruleIndex: number): TableRule => {
    const backends = rule.backends.map((backend) => compileBackend(id, backend, context));
    return {
      routeNamespace: namespace,
      routeName: name,
      rule: rule.name ?? String(ruleIndex),
      ruleIndex,
      filters: rule.filters,
      mirrors: compileMirrors(id, rule.filters, context),
      backends,
      totalWeight: backends.reduce((sum, backend) => sum + backend.weight, 0),
      requestTimeout: rule.timeouts?.request ?? 0,
      backendRequestTimeout: rule.timeouts?.backendRequest ?? 0,
      retry: rule.retry === undefined ? null : {
        attempts: rule.retry.attempts,
        codes: new Set(rule.retry.codes),
        backoff: rule.retry.backoff ?? 0,
      },
    };
  });
}

function compileBackend(
  routeId: string,
  backend: HttpBackend,
  context: RouteContext,
): TableBackend {
  const filters = backend.filters ?? [];
  const mirrors = compileMirrors(routeId, filters, context);
  const none = (error: string): TableBackend => ({
    weight: backend.weight,
    cluster: "",
    endpoints: "",
    protocol: "http1",
    tls: null,
    name: "",
    error,
    filters,
    mirrors,
  });
  if (backend.cluster === undefined) return none(backend.error ?? "BackendNotFound");
  const cluster = clusterOf(routeId, backend.cluster, context.resources);
  const secured = clusterTls(cluster, context.upstream);
  if (typeof secured === "string") return { ...none(secured), cluster: backend.cluster };
  return {
    weight: backend.weight,
    cluster: backend.cluster,
    endpoints: cluster.endpoints,
    protocol: cluster.protocol,
    tls: secured,
    name: backendName(cluster),
    error: "",
    filters,
    mirrors,
  };
}

function compileMirrors(
  routeId: string,
  filters: readonly HttpFilter[],
  { resources, upstream }: RouteContext,
): TableMirror[] {
  return filters.flatMap((filter) => {
    if (filter.type !== "mirror") return [];
    const cluster = clusterOf(routeId, filter.cluster, resources);
    const tls = clusterTls(cluster, upstream);
    const { numerator, denominator } = filter.share ?? { numerator: 1, denominator: 1 };
    const share = numerator / denominator;
    const { endpoints, protocol } = cluster;
    return typeof tls === "string"
      ? [{ cluster: filter.cluster, endpoints: "", protocol, tls: null, share }]
      : [{ cluster: filter.cluster, endpoints, protocol, tls, share }];
  });
}

function clusterOf(routeId: string, id: string, resources: Resources): ClusterResource {
  const cluster = resources.get(id);
  if (cluster === undefined || cluster.kind !== "cluster") {
    throw new TableError(routeId, `there is no cluster ${id}`);
  }
  return cluster;
}

/** How the cluster is talked to in this scope; a text says why it cannot be. */
function clusterTls(
  { tls }: ClusterResource,
  upstream: UpstreamResource | undefined,
): TableTls | null | string {
  if (tls === undefined) return null;
  // Fails closed: a Gateway that is to show a certificate never comes without.
  if (upstream?.error !== undefined) return upstream.error;
  return {
    serverName: tls.serverName,
    subjectAltNames: tls.subjectAltNames ?? [],
    trust: tls.trust ?? null,
    clientCertificate: upstream?.clientCertificate ?? "",
  };
}

/** `namespace/name`: what people call the backend, without port and kind. */
function backendName(cluster: ClusterResource): string {
  const key = cluster.endpoints;
  return key.slice(0, key.lastIndexOf("/")).replace(/\.lightbackend$/, "");
}

/**
 * A route's candidates on a listener: its matches under each of its hostnames that intersects the
 * listener's. A request that reaches the index already matches the listener's hostname, so matching
 * the route's own hostname is matching the intersection, and precedence follows the hostname as
 * written.
 */
export function candidatesOf(route: CompiledRoute, listener: TableListener): Candidate[] {
  const { resource, rules } = route;
  const hostnames = resource.hostnames.length === 0 ? [""] : resource.hostnames;
  const specs = rulesOf(resource);
  return hostnames
    .filter((hostname) => hostnamesIntersect(listener.hostname, hostname))
    .flatMap((hostname) =>
      rules.flatMap((rule, ruleIndex) =>
        (specs[ruleIndex]?.matches ?? []).map((match, matchIndex): Candidate => ({
          listener,
          rule,
          matchIndex,
          hostname,
          pathType: match.path.type,
          path: match.path.value,
          method: match.method ?? "",
          calls: resource.kind === "grpcroute",
          rpc: match.rpc ?? "",
          headers: flatten(match.headers),
          query: flatten(match.query),
          created: resource.created,
        }))
      )
    );
}

function flatten(values: readonly { name: string; value: string }[] | undefined): string[] {
  return values === undefined ? [] : values.flatMap(({ name, value }) => [name, value]);
}
