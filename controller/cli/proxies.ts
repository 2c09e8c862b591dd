/** `lgw proxies`: what each proxy serves, against what was published. */
import type { StatusReport } from "../status_report.ts";
import { render, table } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";

/** One Gateway on one proxy. */
interface ServedRow {
  proxy: string;
  ready: boolean;
  scope: string;
  /** Undefined: not yet. */
  serves: number | undefined;
  published: number;
  state: "current" | "behind";
}

/** Exit code 0 when there are proxies, all ready and all at the newest version; else 1. */
export function showProxies(
  { proxies, scopes }: Pick<StatusReport, "proxies" | "scopes">,
  options: { format: OutputFormat },
): CommandResult {
  const rows = proxies.flatMap(({ name, ready, versions }) =>
    Object.entries(scopes).map(([scope, { version }]): ServedRow => {
      const serves = versions[scope];
      const current = serves !== undefined && serves >= version;
      const state = current ? "current" : "behind";
      return { proxy: name, ready, scope, serves, published: version, state };
    })
  );
  const problems = proxies.flatMap(({ name, problems }) =>
    problems.map((problem) => `${name}: ${problem}`)
  );
  const text = () => {
    if (proxies.length === 0) return "no proxy has been heard of in the last seconds";
    const served = table(
      ["PROXY", "READY", "GATEWAY", "SERVES", "PUBLISHED", "STATE"],
      rows.map(({ proxy, ready, scope, serves, published, state }) => [
        proxy,
        ready ? "yes" : "no",
        scope.replace(/^gateway\//, ""),
        serves === undefined ? "-" : String(serves),
        String(published),
        state,
      ]),
    );
    return [served, ...problems].join("\n");
  };
  const good = proxies.length > 0 && proxies.every(({ ready }) => ready) &&
    rows.every(({ state }) => state === "current");
  return {
    output: render(options.format, { proxies, scopes, rows, problems }, text),
    exitCode: good ? 0 : 1,
  };
}
