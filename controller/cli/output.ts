/** How commands print: text for people, JSON for programs. */

export type OutputFormat = "text" | "json";

/** Reads `-o`. Throws a `TypeError` for a format that there is not. */
export function parseFormat(text: string): OutputFormat {
  if (text === "text" || text === "json") return text;
  throw new TypeError(`-o ${text}: expected text or json`);
}

/** Aligned columns; the last one is not padded. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
  return all.map((row) =>
    row.map((cell, i) => i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)).join("  ")
      .trimEnd()
  ).join("\n");
}

/** What a command gives back: its text, and the exit code. */
export interface CommandResult {
  output: string;
  exitCode: number;
}

/** JSON with two spaces, or the text. */
export function render(format: OutputFormat, value: unknown, text: () => string): string {
  return format === "json" ? JSON.stringify(value, null, 2) : text();
}
