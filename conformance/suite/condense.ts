/** Shortens what a test printed while it waited. */

/** A time as the suite's log writes it. */
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z: /;
/** Times and counters inside of a message, which differ from try to try. */
const VARIABLE = /\d+(\.\d+)?(ms|s|µs)\b|\d\d:\d\d:\d\d/g;

/** What the suite makes and removes, and the report that it prints at its end. */
const CHORE = /^\s*apply\.go:\d+: .*\b(Creating|Updating|Deleting)\b/;
const REPORT = /: Conformance report:$/;
const LOG_LINE = /^(\s*[\w-]+\.go:\d+: |\s*(---|===) )/;

/** The lines that say why something failed, without chores, the report, and repetition. */
export function explain(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let inReport = false;
  for (const line of lines) {
    if (REPORT.test(line)) inReport = true;
    else if (LOG_LINE.test(line)) inReport = false;
    if (!inReport && !CHORE.test(line)) kept.push(line);
  }
  return condense(kept);
}

/**
 * The lines without those that say the same as a later one: a test that polls says what it waits
 * for ten times a second. The last of its kind stays, with how many there were.
 */
export function condense(lines: readonly string[]): string[] {
  const counts = new Map<string, number>();
  const keyOf = (line: string) => line.replace(TIME, "").replaceAll(VARIABLE, "");
  const kept: string[] = [];
  for (const line of lines.toReversed()) {
    const key = keyOf(line);
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    // Only the suite's own log lines: a trace has equal lines that mean something.
    if (count === 0 || !TIME.test(line)) kept.push(line);
  }
  return kept.reverse().map((line) => {
    const count = counts.get(keyOf(line)) ?? 1;
    const text = line.replace(TIME, "");
    return count > 1 && TIME.test(line) ? `${text} (${count} times)` : text;
  });
}
