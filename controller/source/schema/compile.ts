/** A schema → nodes that validate without looking at the schema's text again. */
import { type CelRules, type CompiledRule, type SkippedRule } from "./cel.ts";
import { conditionProblem } from "./holds.ts";
import type { JsonSchema } from "./json_schema.ts";
import { patternName } from "./pattern_names.ts";
import { type StringFormat, stringFormat } from "./string_formats.ts";

/** A schema, made ready. */
export interface SchemaNode {
  schema: JsonSchema;
  properties: ReadonlyMap<string, SchemaNode>;
  required: ReadonlySet<string>;
  /** Members that `properties` does not name. */
  additional: SchemaNode | undefined;
  items: SchemaNode | undefined;
  pattern: { regex: RegExp; what: string } | undefined;
  format: StringFormat | undefined;
  /** `oneOf` and `anyOf` of this value. */
  choices: readonly { only: boolean; of: readonly JsonSchema[] }[];
  rules: readonly CompiledRule[];
}

/** A rule that is not run, with where it stands in the schema. */
export interface SkippedAt extends SkippedRule {
  /** Such as `.spec.listeners[]`. */
  path: string;
}

export interface CompileOptions {
  rules: CelRules;
  /** Takes the rules that cannot be run. */
  skipped: (rule: SkippedAt) => void;
  path?: string;
}

/**
 * Makes a schema ready. Throws for a pattern or condition that cannot be enforced, with its path.
 * Rules that cannot be run are skipped and told.
 */
export function compileSchema(schema: JsonSchema, options: CompileOptions): SchemaNode {
  const { path = "" } = options;
  const below = (part: string) => ({ ...options, path: `${path}${part}` });
  const optional = (child: JsonSchema | undefined) =>
    child === undefined ? undefined : compileSchema(child, below("[]"));
  return {
    schema,
    properties: new Map(
      Object.entries(schema.properties ?? {}).map(([name, child]) =>
        [name, compileSchema(child, below(`.${name}`))] as const
      ),
    ),
    required: new Set(schema.required),
    additional: optional(schema.additionalProperties),
    items: optional(schema.items),
    pattern: schema.pattern === undefined
      ? undefined
      : { regex: regexOf(schema.pattern, path), what: patternName(schema.pattern) },
    format: stringFormat(schema.format),
    choices: choicesOf(schema, path),
    rules: rulesOf(schema, { ...options, path }),
  };
}

/** The patterns are RE2; those in use mean the same in JavaScript. */
function regexOf(source: string, path: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch (error) {
    throw new TypeError(`${path}: pattern ${source} is not one of JavaScript`, { cause: error });
  }
}

function choicesOf({ oneOf, anyOf, not }: JsonSchema, path: string): SchemaNode["choices"] {
  const choices: { only: boolean; of: readonly JsonSchema[] }[] = [];
  if (oneOf !== undefined) choices.push({ only: true, of: oneOf });
  if (anyOf !== undefined) choices.push({ only: false, of: anyOf });
  if (not !== undefined) choices.push({ only: false, of: [{ not }] });
  for (const condition of choices.flatMap(({ of }) => of)) {
    const problem = conditionProblem(condition);
    if (problem !== undefined) {
      throw new TypeError(`${path}: "${problem}" in a condition is not enforced; see holds.ts`);
    }
  }
  return choices;
}

function rulesOf(
  schema: JsonSchema,
  { rules, skipped, path }: CompileOptions & { path: string },
): CompiledRule[] {
  const out: CompiledRule[] = [];
  for (const entry of schema["x-kubernetes-validations"] ?? []) {
    const compiled = rules.compile(entry);
    if ("check" in compiled) out.push(compiled);
    else skipped({ ...compiled, path });
  }
  return out;
}
