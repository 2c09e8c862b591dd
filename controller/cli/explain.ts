/** `lgw explain`: where a request goes, and for every other candidate why not. */
import { describeCandidate, explain } from "../../shared/dataplane/table/explain.ts";
import type { ExplainedCandidate, Verdict } from "../../shared/dataplane/table/explain.ts";
import type { PortProtocol, RouteTable, TableRule } from "../../shared/dataplane/table/types.ts";
import { render } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";
import type { AskedRequest } from "./request_argument.ts";

/** One Gateway's answer. */
interface GatewayExplanation {
  scope: string;
  version: number;
  outcome: string;
  listener?: string;
  route?: string;
  rule?: string;
  match?: string;
  filters?: string[];
  backends?: { backend: string; share: string }[];
  others: { candidate: string; why: string }[];
}

/**
 * Explains a request on every Gateway that serves its port (or on `scope` alone). Exit code 0 when
 * some Gateway routes it, 1 when none does.
 */
export function explainRequest(
  tables: readonly RouteTable[],
  options: { asked: AskedRequest; scope?: string; format: OutputFormat },
): CommandResult {
  const { asked, scope, format } = options;
  const serving = tables
    .filter((table) => scope === undefined || table.scope === `gateway/${scope}`)
    .filter((table) => table.ports.has(asked.port));
  const explanations = serving.map((table) => explainOn(table, asked));
  const routed = explanations.some(({ route }) => route !== undefined);
  const text = () =>
    explanations.length === 0
      ? noGateway(tables, asked.port)
      : explanations.map((one) => describe(one, asked)).join("\n\n");
  return { output: render(format, explanations, text), exitCode: routed ? 0 : 1 };
}

function explainOn(table: RouteTable, { request, port, scheme }: AskedRequest): GatewayExplanation {
  const { scope, version } = table;
  const portTable = table.ports.get(port);
  if (portTable === undefined) return { scope, version, outcome: "port not served", others: [] };
  const spoken: readonly PortProtocol[] = scheme === "https" ? ["HTTPS", "MIXED"] : ["HTTP"];
  if (!spoken.includes(portTable.protocol)) {
    const outcome = `port ${port} speaks ${portTable.protocol}, not ${scheme.toUpperCase()}`;
    return { scope, version, outcome, others: [] };
  }
  const { decision, candidates } = explain(portTable, request);
  const others = candidates
    .filter(({ verdict }) => verdict.kind !== "chosen")
    .map(({ candidate, verdict }: ExplainedCandidate) => ({
      candidate: `${describeCandidate(candidate)} on ${candidate.listener.name}`,
      why: describeVerdict(verdict),
    }));
  switch (decision.kind) {
    case "no_listener":
      return { scope, version, outcome: `404: no listener for ${request.host}`, others };
    case "no_route":
      return {
        scope,
        version,
        outcome: "404: no route matches",
        listener: decision.listener.name,
        others,
      };
    case "route": {
      const { rule, listener } = decision.candidate;
      return {
        scope,
        version,
        outcome: outcomeOf(rule),
        listener: listener.name,
        route: `${rule.routeNamespace}/${rule.routeName}`,
        rule: rule.rule,
        match: describeCandidate(decision.candidate),
        filters: rule.filters.map(({ type }) => type),
        backends: rule.backends.map(({ name, error, weight }) => ({
          backend: error === "" ? name : `500 (${error})`,
          share: `${rule.totalWeight === 0 ? 0 : Math.round(100 * weight / rule.totalWeight)} %`,
        })),
        others,
      };
    }
  }
}

function outcomeOf(rule: TableRule): string {
  const redirect = rule.filters.find((filter) => filter.type === "redirect");
  if (redirect !== undefined) return `${redirect.status}: redirect`;
  return rule.totalWeight === 0 ? "500: the rule has no backends" : "forwarded";
}

/** One sentence for a verdict. */
export function describeVerdict(verdict: Verdict): string {
  switch (verdict.kind) {
    case "chosen":
      return "chosen";
    case "outranked":
      return `matches, but ${verdict.by} precedes it`;
    case "other_listener":
      return `listener ${verdict.listener} serves this host more specifically`;
    case "mismatch": {
      const { predicate, name, wanted, got } = verdict.mismatch;
      const what = name === "" ? predicate : `${predicate} ${name}`;
      return `${what}: wants ${wanted}, the request has ${got === undefined ? "none" : got}`;
    }
  }
}

function describe(one: GatewayExplanation, { request, port, scheme }: AskedRequest): string {
  const query = request.query === "" ? "" : `?${request.query}`;
  const lines = [
    `${request.method} ${scheme}://${request.host}:${port}${request.path}${query}`,
    `gateway   ${one.scope.replace(/^gateway\//, "")} (version ${one.version})`,
    `outcome   ${one.outcome}`,
  ];
  if (one.listener !== undefined) lines.push(`listener  ${one.listener}`);
  if (one.match !== undefined) lines.push(`route     ${one.match}`);
  if (one.filters !== undefined && one.filters.length > 0) {
    lines.push(`filters   ${one.filters.join(", ")}`);
  }
  for (const { backend, share } of one.backends ?? []) lines.push(`backend   ${backend}  ${share}`);
  if (one.others.length > 0) lines.push("why not:");
  for (const { candidate, why } of one.others) lines.push(`  ${candidate}`, `      ${why}`);
  return lines.join("\n");
}

function noGateway(tables: readonly RouteTable[], port: number): string {
  const ports = [...new Set(tables.flatMap((table) => [...table.ports.keys()]))].sort((a, b) =>
    a - b
  );
  const known = ports.length === 0 ? "there is no Gateway" : `ports served: ${ports.join(", ")}`;
  return `no Gateway serves port ${port}; ${known} (the declared port counts, not the local one)`;
}
