/** A configuration file and the environment → settings; errors name file, line and setting. */
import { LineCounter, parseDocument } from "yaml";
import type { Document } from "yaml";
import { ParseError } from "../lib/parse.ts";
import { applyEnvironment, ENVIRONMENT } from "./environment.ts";
import { parseSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** A file or a variable that cannot be used; the message names the place. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export interface LoadOptions {
  /** Absent: the environment alone. */
  file?: { path: string; text: string };
  env: Pick<Deno.Env, "get">;
}

/** @throws {ConfigError} */
export function loadSettings({ file, env }: LoadOptions): Settings {
  const lines = new LineCounter();
  const document = file === undefined ? undefined : read(file, lines);
  const value: unknown = document?.toJS({ maxAliasCount: 100 });
  let overridden: ReadonlyMap<string, string> = new Map();
  try {
    const merged = applyEnvironment(value, env);
    overridden = merged.overridden;
    return parseSettings(merged.value);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    if (Object.hasOwn(ENVIRONMENT, error.path)) throw new ConfigError(error.message);
    const variable = overridden.get(error.path.replace(/\[\d+\].*$/, ""));
    if (variable !== undefined) throw new ConfigError(`${variable}: ${error.message}`);
    if (document === undefined || file === undefined) throw new ConfigError(error.message);
    const { line, col } = lines.linePos(offsetOf(document, error.path));
    throw new ConfigError(`${file.path}:${line}:${col}: ${error.message}`);
  }
}

function read(file: { path: string; text: string }, lines: LineCounter): Document.Parsed {
  const document = parseDocument(file.text, { lineCounter: lines, logLevel: "error" });
  const problem = document.errors[0];
  if (problem === undefined) return document;
  const { line, col } = lines.linePos(problem.pos[0]);
  throw new ConfigError(`${file.path}:${line}:${col}: ${problem.message.split("\n")[0]}`);
}

/** Where a setting stands, or its nearest parent. */
function offsetOf(document: Document.Parsed, path: string): number {
  const steps = path.split(/[.[\]]+/).filter((step) => step !== "")
    .map((step) => /^\d+$/.test(step) ? Number(step) : step);
  for (let length = steps.length; length > 0; length--) {
    const node: unknown = document.getIn(steps.slice(0, length), true);
    if (typeof node !== "object" || node === null || !("range" in node)) continue;
    if (Array.isArray(node.range) && typeof node.range[0] === "number") return node.range[0];
  }
  return document.range[0];
}
