/**
 * Precedence between matches: a total order, so that the winner never depends on the order in
 * which objects were seen. Gateway API v1.7.0, HTTPRouteSpec.hostnames, HTTPRouteRule.matches and
 * GRPCRouteRule.matches: a service and a method are a path, so that the longest path is the most
 * characters of both.
 */
import type { Candidate } from "./types.ts";

/** Exact before wildcard before every host; longer before shorter; then by name. */
export function compareHostnames(a: string, b: string): number {
  return hostnameRank(a) - hostnameRank(b) || b.length - a.length || compareText(a, b);
}

function hostnameRank(hostname: string): number {
  if (hostname === "") return 2;
  return hostname.startsWith("*.") ? 1 : 0;
}

/** Negative when `a` wins. */
export function comparePrecedence(a: Candidate, b: Candidate): number {
  return compareHostnames(a.hostname, b.hostname) ||
    pathRank(a) - pathRank(b) ||
    b.path.length - a.path.length ||
    b.rpc.length - a.rpc.length ||
    methodRank(a) - methodRank(b) ||
    b.headers.length - a.headers.length ||
    b.query.length - a.query.length ||
    a.created - b.created ||
    compareText(routeKey(a), routeKey(b)) ||
    Number(a.calls) - Number(b.calls) ||
    a.rule.ruleIndex - b.rule.ruleIndex ||
    a.matchIndex - b.matchIndex ||
    compareText(a.path, b.path);
}

function pathRank(candidate: Candidate): number {
  return candidate.pathType === "exact" ? 0 : 1;
}

function methodRank(candidate: Candidate): number {
  return candidate.method === "" ? 1 : 0;
}

function routeKey(candidate: Candidate): string {
  return `${candidate.rule.routeNamespace}/${candidate.rule.routeName}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
