/** Shortens what a test printed while it waited. */

/** A time as the suite's log writes it. */
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z: /;
/** Times and counters inside of a message, which differ from try to try. */
const VARIABLE = /\d+(\.\d+)?(ms|s|µs)\b|\d\d:\d\d:\d\d/g;

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
