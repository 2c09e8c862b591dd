/** `lgw validate`: what the controller would say about manifests, without one. */
import { formatProblem } from "../source/batch.ts";
import { conditionRows, isProblem } from "./conditions_table.ts";
import type { ConditionRow } from "./conditions_table.ts";
import type { CompiledManifests } from "./manifests.ts";
import { render } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";

/** Exit code 0: nothing is wrong; 1: something is. Warnings alone are 0. */
export function validateManifests(
  compiled: CompiledManifests,
  options: { format: OutputFormat },
): CommandResult {
  const { problems, result } = compiled;
  const rows = [...result.statuses].flatMap(([object, status]) => conditionRows(object, status));
  // Programmed is about proxies; there are none here.
  const conditions = rows.filter((row) => isProblem(row) && row.condition !== "Programmed");
  const diagnostics = [...result.diagnostics.values()];
  const errors = problems.filter(({ severity }) => severity === "error").length +
    diagnostics.filter(({ severity }) => severity === "error").length + conditions.length;
  const objects = result.statuses.size;
  const text = () =>
    [
      ...problems.map(formatProblem),
      ...diagnostics.map(({ severity, object, message }) => `${severity}: ${object}: ${message}`),
      ...conditions.map(describeRow),
      errors === 0
        ? `ok: ${objects} objects, ${problems.length + diagnostics.length} warnings`
        : `${errors} problems in ${objects} objects`,
    ].join("\n");
  return {
    output: render(options.format, { problems, diagnostics, conditions, errors }, text),
    exitCode: errors === 0 ? 0 : 1,
  };
}

function describeRow({ object, part, condition, reason, message }: ConditionRow): string {
  const where = part === "" ? object : `${object} (${part})`;
  return `error: ${where}: ${condition}: ${reason}: ${message}`;
}
