/** How commands print: tables for people, JSON and YAML for programs. */
import { stringify } from "@std/yaml";

export const OUTPUT_FORMATS = ["table", "json", "yaml"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Reads `-o`. Throws a `TypeError` for a format that there is not. */
export function parseFormat(text: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((known) => known === text);
  if (format !== undefined) return format;
  throw new TypeError(`-o ${text}: expected one of ${OUTPUT_FORMATS.join(", ")}`);
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

/** The value as data, or what people read. */
export function render(format: OutputFormat, value: unknown, text: () => string): string {
  switch (format) {
    case "table":
      return text();
    case "json":
      return JSON.stringify(value, null, 2);
    case "yaml":
      // As JSON has it: what is undefined there is absent here.
      return stringify(JSON.parse(JSON.stringify(value))).trimEnd();
  }
}
