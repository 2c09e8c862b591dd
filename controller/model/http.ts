/** An HTTPRoute as its Gateway's snapshot holds it. */
import type {
  HeaderModifier,
  HeaderValue,
  HttpBackend,
  HttpFilter,
  HttpMatch,
  HttpRouteResource,
  HttpRule,
  PathRewrite,
  ValueMatch,
} from "../../shared/snapshot/schema.ts";
import type { RouteDecision, RuleDecision } from "../attach/routes.ts";
import type {
  HeaderModifierSpec,
  HeaderPair,
  NamedMatch,
  PathModifier,
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
  const { route, rules } = decision;
  return {
    kind: "httproute",
    created: route.meta.created,
    listeners: [...new Set(listeners)].sort(),
    hostnames: sortedHostnames(route.spec.hostnames ?? []),
    rules: rules.filter(({ content }) => content.ok).map(httpRule),
  };
}

function httpRule({ rule, backends }: RuleDecision): HttpRule {
  const timeouts = rule.timeouts;
  const matches = rule.matches.length > 0
    ? rule.matches
    : [{ path: { type: "PathPrefix" as const, value: "/" } }];
  return {
    ...(rule.name === undefined ? {} : { name: rule.name }),
    matches: matches.map(httpMatch),
    filters: (rule.filters ?? []).flatMap(httpFilter),
    backends: backends.map(({ ref, decision }): HttpBackend => {
      const filters = (ref.filters ?? []).flatMap(httpFilter);
      return {
        weight: ref.weight,
        ...(decision.ok ? { cluster: decision.cluster } : { error: decision.reason }),
        ...(filters.length === 0 ? {} : { filters }),
      };
    }),
    ...(timeouts === undefined ? {} : { timeouts: { ...timeouts } }),
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

function httpFilter(filter: RouteFilter): HttpFilter[] {
  const { requestHeaderModifier, responseHeaderModifier, requestRedirect, urlRewrite } = filter;
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
  // A rule with any other type is dropped (attach/filters.ts), so it never comes here.
  return [];
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
