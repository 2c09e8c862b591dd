/** Routes of requests as their Gateway's snapshot holds them. */
import type {
  CorsFilter,
  HeaderModifier,
  HeaderValue,
  HttpBackend,
  HttpFilter,
  HttpMatch,
  HttpRetry,
  HttpRule,
  PathRewrite,
  RouteResource,
  ValueMatch,
} from "../../shared/snapshot/schema.ts";
import type { SnapshotFeature } from "../../shared/snapshot/features.ts";
import type { BackendDecision } from "../attach/backends.ts";
import type { RouteDecision, RuleDecision } from "../attach/routes.ts";
import type {
  CorsSpec,
  HeaderModifierSpec,
  HeaderPair,
  MirrorSpec,
  NamedMatch,
  PathModifier,
  RequestRoute,
  RetrySpec,
  RouteFilter,
  RouteMatch,
  RouteRule,
} from "./objects.ts";
import type { GrpcMatch } from "./grpc_objects.ts";

/**
 * The resource of a route in one scope. `listeners` are the names of the Gateway's served listeners
 * that accepted it, never empty.
 */
export function routeResource(
  route: RequestRoute,
  { decision, listeners }: { decision: RouteDecision; listeners: Iterable<string> },
): RouteResource {
  const shared = {
    created: route.meta.created,
    listeners: [...new Set(listeners)].sort(),
    hostnames: sortedHostnames(route.spec.hostnames ?? []),
  };
  if (route.kind === "GRPCRoute") {
    const rules = servedRules(decision, route.spec.rules).map(([rule, decided]) =>
      commonRule(rule, { decided, matches: grpcMatches(rule.matches ?? []) })
    );
    const requires = [...requiredFeatures(rules), "grpcRoute" as const].sort();
    return { kind: "grpcroute", requires, ...shared, rules };
  }
  const rules = servedRules(decision, route.spec.rules).map(([rule, decided]): HttpRule => ({
    ...commonRule(rule, { decided, matches: httpMatches(rule.matches) }),
    ...(rule.timeouts === undefined ? {} : { timeouts: { ...rule.timeouts } }),
    ...(rule.retry === undefined ? {} : { retry: httpRetry(rule.retry) }),
  }));
  const requires = requiredFeatures(rules);
  return {
    kind: "httproute",
    ...(requires.length === 0 ? {} : { requires }),
    ...shared,
    rules,
  };
}

/** The rules that can be served, each with what was decided about it. */
function servedRules<R>(
  { rules }: RouteDecision,
  specs: readonly R[],
): [R, RuleDecision][] {
  return specs.flatMap((rule, index): [R, RuleDecision][] => {
    const decided = rules[index];
    return decided?.content.ok ? [[rule, decided]] : [];
  });
}

/** What a reader must know to serve these rules as they are meant, sorted. */
function requiredFeatures(rules: readonly HttpRule[]): SnapshotFeature[] {
  const needed = new Set<SnapshotFeature>();
  for (const { filters, backends, retry } of rules) {
    const all = [filters, ...backends.map((backend) => backend.filters ?? [])].flat();
    if (retry !== undefined) needed.add("retry");
    for (const { type } of all) if (type === "mirror" || type === "cors") needed.add(type);
  }
  return [...needed].sort();
}

/** What does not depend on the kind of the route. */
function commonRule(
  rule: Pick<RouteRule, "name" | "filters">,
  { decided: { mirrors, backends }, matches }: { decided: RuleDecision; matches: HttpMatch[] },
): HttpRule {
  return {
    ...(rule.name === undefined ? {} : { name: rule.name }),
    matches,
    filters: httpFilters(rule.filters, mirrors),
    backends: backends.map(({ ref, decision, mirrors }): HttpBackend => {
      const filters = httpFilters(ref.filters, mirrors);
      return {
        weight: ref.weight,
        ...(decision.ok ? { cluster: decision.cluster } : { error: decision.reason }),
        ...(filters.length === 0 ? {} : { filters }),
      };
    }),
  };
}

function httpMatches(matches: readonly RouteMatch[]): HttpMatch[] {
  return matches.length === 0 ? [{ path: { type: "prefix", value: "/" } }] : matches.map(httpMatch);
}

/**
 * Calls are requests for `/<service>/<method>` (gRPC over HTTP/2, "Requests"): a whole name is an
 * exact path, a service a prefix; a method of any service is a path's last element.
 */
function grpcMatches(matches: readonly GrpcMatch[]): HttpMatch[] {
  if (matches.length === 0) return [{ path: { type: "prefix", value: "/" } }];
  return matches.map(({ method, headers }): HttpMatch => {
    const wanted = valueMatches(headers, (name) => name.toLowerCase());
    const { service, method: name } = method ?? {};
    const own = wanted.length === 0 ? {} : { headers: wanted };
    if (service === undefined || service === "") {
      const rest = name === undefined || name === "" ? {} : { rpc: name };
      return { path: { type: "prefix", value: "/" }, ...rest, ...own };
    }
    return name === undefined || name === ""
      ? { path: { type: "prefix", value: `/${service}` }, ...own }
      : { path: { type: "exact", value: `/${service}/${name}` }, ...own };
  });
}

function httpRetry({ attempts, codes, backoff }: RetrySpec): HttpRetry {
  return {
    attempts,
    codes: [...new Set(codes ?? [])].sort((a, b) => a - b),
    ...(backoff === undefined ? {} : { backoff }),
  };
}

function httpMatch(match: RouteMatch): HttpMatch {
  const headers = valueMatches(match.headers, (name) => name.toLowerCase());
  const query = valueMatches(match.queryParams, (name) => name);
  const { type, value } = match.path;
  return {
    path: type === "Exact"
      ? { type: "exact", value }
      : { type: "prefix", value: value.replace(/\/+$/, "") || "/" },
    ...(match.method === undefined ? {} : { method: match.method }),
    ...(headers.length === 0 ? {} : { headers }),
    ...(query.length === 0 ? {} : { query }),
  };
}

/** Of several entries for one name only the first counts (HTTPRouteMatch). */
function valueMatches(
  matches: readonly NamedMatch[] | undefined,
  nameOf: (name: string) => string,
): ValueMatch[] {
  const out = new Map<string, ValueMatch>();
  for (const { name, value } of matches ?? []) {
    const key = nameOf(name);
    if (!out.has(key)) out.set(key, { name: key, value });
  }
  return [...out.values()];
}

/** `mirrors`: where the RequestMirror filters among them go, in their order. */
function httpFilters(
  filters: readonly RouteFilter[] | undefined,
  mirrors: readonly BackendDecision[],
): HttpFilter[] {
  let mirror = 0;
  return (filters ?? []).flatMap((filter) =>
    filter.requestMirror === undefined
      ? httpFilter(filter)
      : mirrorFilter(filter.requestMirror, mirrors[mirror++])
  );
}

/** A reference that does not resolve is dropped (HTTPRequestMirrorFilter.backendRef). */
function mirrorFilter(spec: MirrorSpec, to: BackendDecision | undefined): HttpFilter[] {
  if (to === undefined || !to.ok) return [];
  const share = spec.percent === undefined
    ? spec.fraction
    : { numerator: spec.percent, denominator: 100 };
  return [{
    type: "mirror",
    cluster: to.cluster,
    ...(share === undefined ? {} : { share: { ...share } }),
  }];
}

function httpFilter(filter: RouteFilter): HttpFilter[] {
  const { requestHeaderModifier, responseHeaderModifier, requestRedirect, urlRewrite, cors } =
    filter;
  if (requestHeaderModifier !== undefined) {
    return [{ type: "requestHeaders", ...headerModifier(requestHeaderModifier) }];
  }
  if (responseHeaderModifier !== undefined) {
    return [{ type: "responseHeaders", ...headerModifier(responseHeaderModifier) }];
  }
  if (requestRedirect !== undefined) {
    const { scheme, hostname, port, path, statusCode } = requestRedirect;
    return [{
      type: "redirect",
      ...(scheme === undefined ? {} : { scheme }),
      ...(hostname === undefined ? {} : { hostname }),
      ...(port === undefined ? {} : { port }),
      ...(path === undefined ? {} : { path: pathRewrite(path) }),
      status: statusCode,
    }];
  }
  if (urlRewrite !== undefined) {
    const { hostname, path } = urlRewrite;
    return [{
      type: "rewrite",
      ...(hostname === undefined ? {} : { hostname }),
      ...(path === undefined ? {} : { path: pathRewrite(path) }),
    }];
  }
  if (cors !== undefined) return [corsFilter(cors)];
  // A rule with any other type is dropped (attach/filters.ts), so it never comes here.
  return [];
}

/** Names of headers in lower case: they are compared with what an answer has. */
function corsFilter(cors: CorsSpec): CorsFilter {
  const lower = (list: readonly string[] | undefined) =>
    (list ?? []).map((name) => name.toLowerCase());
  return {
    type: "cors",
    allowOrigins: lower(cors.allowOrigins),
    allowCredentials: cors.allowCredentials ?? false,
    allowMethods: cors.allowMethods ?? [],
    allowHeaders: lower(cors.allowHeaders),
    exposeHeaders: lower(cors.exposeHeaders),
    maxAge: cors.maxAge,
  };
}

function pathRewrite(path: PathModifier): PathRewrite {
  return path.type === "ReplaceFullPath"
    ? { type: "full", value: path.replaceFullPath ?? "/" }
    : { type: "prefix", value: path.replacePrefixMatch ?? "/" };
}

function headerModifier({ set, add, remove }: HeaderModifierSpec): HeaderModifier {
  return {
    ...(set === undefined ? {} : { set: headerValues(set) }),
    ...(add === undefined ? {} : { add: headerValues(add) }),
    ...(remove === undefined ? {} : { remove: remove.map((name) => name.toLowerCase()) }),
  };
}

/** Names lower-case; of several entries for one name only the first counts (HTTPHeaderFilter). */
function headerValues(pairs: readonly HeaderPair[]): HeaderValue[] {
  const out = new Map<string, HeaderValue>();
  for (const { name, value } of pairs) {
    const key = name.toLowerCase();
    if (!out.has(key)) out.set(key, { name: key, value });
  }
  return [...out.values()];
}

function sortedHostnames(hostnames: readonly string[]): string[] {
  return [...new Set(hostnames.map((hostname) => hostname.toLowerCase()))].sort();
}
