/** Why a request goes where it goes, and for every other candidate why not. */
import { hostnameCovers } from "../../gwapi/hostname.ts";
import { firstMismatch, LazyQuery } from "./match.ts";
import type { Mismatch } from "./match.ts";
import type { Candidate, Decision, PortTable, RouteRequest } from "./types.ts";

/** What became of one candidate. */
export type Verdict =
  | { kind: "chosen" }
  /** It matches, but another one precedes it. */
  | { kind: "outranked"; by: string }
  /** Its listener does not serve the host, or a more specific listener does. */
  | { kind: "other_listener"; listener: string }
  | { kind: "mismatch"; mismatch: Mismatch };

export interface ExplainedCandidate {
  candidate: Candidate;
  verdict: Verdict;
}

export interface Explanation {
  decision: Decision;
  /** Every candidate of the port, in order of precedence per listener. */
  candidates: ExplainedCandidate[];
}

/** Explains what {@linkcode PortTable.route} decides; the decision is the same function's. */
export function explain(port: PortTable, request: RouteRequest): Explanation {
  const decision = port.route(request);
  const listener = port.listenerFor(request.host);
  const query = new LazyQuery(request.query);
  const chosen = decision.kind === "route" ? decision.candidate : undefined;
  const candidates = port.candidates().map((candidate): ExplainedCandidate => {
    if (candidate === chosen) return { candidate, verdict: { kind: "chosen" } };
    if (candidate.listener !== listener) {
      const hostname = candidate.listener.hostname;
      const mismatch: Mismatch = {
        predicate: "hostname",
        name: "",
        wanted: hostname,
        got: request.host,
      };
      const verdict: Verdict = hostnameCovers(hostname, request.host) && listener !== undefined
        ? { kind: "other_listener", listener: listener.name }
        : { kind: "mismatch", mismatch };
      return { candidate, verdict };
    }
    const mismatch = firstMismatch(candidate, request, query);
    if (mismatch !== undefined) return { candidate, verdict: { kind: "mismatch", mismatch } };
    const by = chosen === undefined ? "" : describeCandidate(chosen);
    return { candidate, verdict: { kind: "outranked", by } };
  });
  return { decision, candidates };
}

/** `namespace/route rule 0 (prefix /pets)`. */
export function describeCandidate(candidate: Candidate): string {
  const { rule } = candidate;
  const where = `${rule.routeNamespace}/${rule.routeName} rule ${rule.rule}`;
  return `${where} (${candidate.pathType} ${candidate.path})`;
}
