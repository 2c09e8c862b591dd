/**
 * The plain twin of the index: sort all candidates by precedence, take the first that matches.
 * Too slow to serve with, simple enough to trust; property tests hold the index against it.
 */
import { hostnameCovers } from "../../gwapi/hostname.ts";
import { firstMismatch, LazyQuery } from "./match.ts";
import { compareHostnames, comparePrecedence } from "./precedence.ts";
import type { Candidate, Decision, PortTable, RouteRequest, TableListener } from "./types.ts";

/** The listener of a port that serves a host, by looking at every one. */
export function linearListener(port: PortTable, host: string): TableListener | undefined {
  return port.listeners
    .filter((listener) => hostnameCovers(listener.hostname, host))
    .sort((a, b) => compareHostnames(a.hostname, b.hostname) || (a.name < b.name ? -1 : 1))[0];
}

/** The decision of {@linkcode PortTable.route}, by looking at every candidate. */
export function linearRoute(port: PortTable, request: RouteRequest): Decision {
  const listener = linearListener(port, request.host);
  if (listener === undefined) return { kind: "no_listener" };
  const query = new LazyQuery(request.query);
  const winner = port.candidates()
    .filter((candidate) => candidate.listener === listener)
    .filter((candidate) => firstMismatch(candidate, request, query) === undefined)
    .reduce<Candidate | undefined>(
      (best, candidate) =>
        best === undefined || comparePrecedence(candidate, best) < 0 ? candidate : best,
      undefined,
    );
  return winner === undefined
    ? { kind: "no_route", listener }
    : { kind: "route", candidate: winner };
}
