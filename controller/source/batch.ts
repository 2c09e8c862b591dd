/** What a source hands to the store. */
import type { KubeObject } from "../model/objects.ts";

/** Something wrong with a manifest, with where it stands. */
export interface Problem {
  severity: "error" | "warning";
  file: string;
  /** From 1. */
  line: number;
  column: number;
  /** `<Kind>/<namespace>/<name>`, when it could be read. */
  object?: string;
  /** Such as `spec.rules[0].matches[1].path.value`. */
  field?: string;
  message: string;
}

/** One change of the source. */
export interface Batch {
  upserts: KubeObject[];
  /** Object keys (`<Kind>/<namespace>/<name>`). */
  deletes: string[];
  /** Every problem there is now, not only new ones, in order of file and line. */
  problems: Problem[];
}

/** `file:line:column: error: object field: message`, the form that editors can jump to. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, severity, object, field, message } = problem;
  const what = [object, field].filter((part) => part !== undefined).join(" ");
  return `${file}:${line}:${column}: ${severity}: ${what === "" ? "" : `${what}: `}${message}`;
}

/** Kinds of the objects with an error that was not there before, one entry per object. */
export function newlyRefused(before: readonly Problem[], after: readonly Problem[]): string[] {
  if (after.length === 0) return [];
  const refused = (problems: readonly Problem[]) =>
    new Set(problems.flatMap(({ severity, object }) => severity === "error" ? object ?? [] : []));
  const known = refused(before);
  return [...refused(after)].filter((object) => !known.has(object))
    .map((object) => object.split("/")[0] ?? "");
}
