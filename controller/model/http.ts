/** An HTTPRoute as its Gateway's snapshot holds it. */
import type {
  CorsFilter,
  HeaderModifier,
  HeaderValue,
  HttpBackend,
  HttpFilter,
  HttpMatch,
  HttpRetry,
  HttpRouteResource,
  HttpRule,
  PathRewrite,
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
  RetrySpec,
  RouteFilter,
  RouteMatch,
} from "./objects.ts";

/**
 * The resource of a route in one scope. `listeners` are the names of the Gateway's served listeners
 * that accepted it, never empty.
 */
export function httpRouteResource(
  decision: RouteDecision,
  listeners: Iterable<string>,
): HttpRouteResource {
  const { route } = decision;
  const rules = decision.rules.filter(({ content }) => content.ok).map(httpRule);
  const requires = requiredFeatures(rules);
  return {
    kind: "httproute",
    ...(requires.length === 0 ? {} : { requires }),
    created: route.meta.created,
    listeners: [...new Set(listeners)].sort(),
    hostnames: sortedHostnames(route.spec.hostnames ?? []),
    rules,
  };
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

function httpRule({ rule, mirrors, backends }: RuleDecision): HttpRule {
  const timeouts = rule.timeouts;
  const matches = rule.matches.length > 0
    ? rule.matches
    : [{ path: { type: "PathPrefix" as const, value: "/" } }];
  return {
    ...(rule.name === undefined ? {} : { name: rule.name }),
    matches: matches.map(httpMatch),
    filters: httpFilters(rule.filters, mirrors),
    backends: backends.map(({ ref, decision, mirrors }): HttpBackend => {
      const filters = httpFilters(ref.filters, mirrors);
      return {
        weight: ref.weight,
        ...(decision.ok ? { cluster: decision.cluster } : { error: decision.reason }),
        ...(filters.length === 0 ? {} : { filters }),
      };
    }),
    ...(timeouts === undefined ? {} : { timeouts: { ...timeouts } }),
    ...(rule.retry === undefined ? {} : { retry: httpRetry(rule.retry) }),
  };
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
