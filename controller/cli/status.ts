/** `lgw status`: what the running controller thinks of every object, and what proxies serve. */
import { formatProblem } from "../source/batch.ts";
import type { StatusReport } from "../status_report.ts";
import { conditionRows, isProblem } from "./conditions_table.ts";
import { render, table } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";

/** Exit code 0 when all is well, 1 when an object has a problem or no proxy is ready. */
export function showStatus(
  report: StatusReport,
  options: { format: OutputFormat; all: boolean },
): CommandResult {
  const rows = Object.entries(report.objects).flatMap(([object, status]) =>
    conditionRows(object, status)
  );
  const bad = rows.filter(isProblem);
  const errors = report.problems.filter(({ severity }) => severity === "error");
  const text = () => {
    const shown = options.all
      ? rows
      : rows.filter((row) =>
        row.part === "" || isProblem(row) || row.object.startsWith("HTTPRoute/")
      );
    const sections = [
      table(
        ["OBJECT", "PART", "CONDITION", "STATUS", "REASON", "MESSAGE"],
        shown.map((row) => [
          row.object,
          row.part,
          row.condition,
          row.status,
          row.reason,
          isProblem(row) ? row.message : "",
        ]),
      ),
      table(
        ["PROXY", "READY", "VERSIONS", "PROBLEMS"],
        report.proxies.map(({ name, ready, versions, problems }) => [
          name,
          ready ? "yes" : "no",
          Object.entries(versions).map(([scope, version]) => `${scope}@${version}`).join(" "),
          problems.join("; "),
        ]),
      ),
    ];
    if (report.problems.length > 0) sections.push(report.problems.map(formatProblem).join("\n"));
    if (report.diagnostics.length > 0) {
      sections.push(
        report.diagnostics.map(({ severity, object, message }) =>
          `${severity}: ${object}: ${message}`
        ).join("\n"),
      );
    }
    return sections.join("\n\n");
  };
  const ready = report.proxies.some((proxy) => proxy.ready);
  return {
    output: render(options.format, report, text),
    exitCode: bad.length === 0 && errors.length === 0 && ready ? 0 : 1,
  };
}
