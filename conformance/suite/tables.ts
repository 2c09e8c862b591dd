/** The tables that a run ends with. */
import type { LevelCount, ProfileOutcome } from "./outcome.ts";
import type { TestResult } from "./test_events.ts";

/** Columns padded to the width of their longest cell; numbers to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(width(i)) : cell.padStart(width(i))).join("  ")
      .trimEnd()
  );
}

/**
 * A table per profile: what passed, failed, was skipped, has no result. Left out are tests of
 * features that are not claimed, and those that this run was not asked for.
 */
export function profileTables(outcomes: readonly ProfileOutcome[]): string[] {
  const lines: string[] = [];
  for (const { name, core, extended, featuresNotClaimed } of outcomes) {
    const row = (label: string, level: LevelCount): string[] => {
      const counted = level.passed + level.failed.length + level.skipped.length +
        level.missing.length;
      return [
        `  ${label}`,
        ...[
          level.passed,
          level.failed.length,
          level.skipped.length,
          level.missing.length,
          level.total - counted,
          level.total,
        ].map(String),
      ];
    };
    lines.push(...align([
      [name, "passed", "failed", "skipped", "no result", "left out", "of"],
      row("core", core),
      row("extended", extended),
    ]));
    const features = featuresNotClaimed.length === 0 ? "none" : featuresNotClaimed.join(", ");
    lines.push(`  features not claimed: ${features}`, "");
  }
  return lines;
}

/** The slowest tests, the slowest first. */
export function slowestTable(results: readonly TestResult[], count = 10): string[] {
  const slowest = results.filter(({ outcome }) => outcome !== "skipped")
    .toSorted((a, b) => b.seconds - a.seconds).slice(0, count);
  if (slowest.length === 0) return [];
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0);
  return [
    `the ${slowest.length} slowest tests (all together ${total.toFixed(1)} s)`,
    ...align(slowest.map(({ name, seconds, outcome }) => [
      `  ${name}`,
      `${seconds.toFixed(1)} s`,
      outcome,
    ])),
  ];
}
