/**
 * Decoders: from parsed YAML or JSON to typed objects, the way an API server admits them: defaults
 * filled in, unknown fields pruned (with a warning), null treated as absent, every problem of an
 * object reported at once with its path.
 */

export type Path = readonly (string | number)[];

/** `["spec", "rules", 0, "name"]` → `spec.rules[0].name`. */
export function fieldName(path: Path): string {
  return path.map((part, index) =>
    typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`
  ).join("");
}

export interface Finding {
  severity: "error" | "warning";
  path: Path;
  /** The path names a key that should not be there, rather than its value. */
  key?: boolean;
  message: string;
}

/** Takes what a decoder finds. */
export type Report = (finding: Finding) => void;

/** A decoder's answer when it reported an error. */
export const FAIL: unique symbol = Symbol("fail");
export type Fail = typeof FAIL;

export interface At {
  path: Path;
  report: Report;
}

/** Returns the typed value, or FAIL after reporting at least one error. */
export type Decoder<T> = (value: unknown, at: At) => T | Fail;

/** Reports an error and fails. */
export function fail(at: At, message: string): Fail {
  at.report({ severity: "error", path: at.path, message });
  return FAIL;
}

/** The position of a member of the value at `at`. */
export function below(at: At, ...keys: (string | number)[]): At {
  return { path: [...at.path, ...keys], report: at.report };
}

/** What a value of the wrong type is, in words. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? "a string" : `the ${typeof value} ${String(value)}`;
}

export interface StringRules {
  min?: number;
  max?: number;
  pattern?: RegExp;
  /** What a value that matches the pattern is called in messages. */
  what?: string;
}

export function string(rules: StringRules = {}): Decoder<string> {
  const { min = 0, max = Infinity, pattern, what } = rules;
  return (value, at) => {
    if (typeof value !== "string") return fail(at, `must be a string, not ${describe(value)}`);
    if (value.length < min) return fail(at, "must not be empty");
    if (value.length > max) return fail(at, `is longer than ${max} characters`);
    if (pattern !== undefined && !pattern.test(value)) {
      const shown = value.length > 80 ? `${value.slice(0, 80)}…` : value;
      return fail(at, `"${shown}" is not ${what ?? `of the form ${pattern.source}`}`);
    }
    return value;
  };
}

export function integer(min: number, max: number): Decoder<number> {
  return (value, at) => {
    if (typeof value !== "number" || !Number.isInteger(value)) {
      return fail(at, `must be an integer, not ${describe(value)}`);
    }
    return value < min || value > max
      ? fail(at, `must be from ${min} to ${max}, not ${value}`)
      : value;
  };
}

export function boolean(value: unknown, at: At): boolean | Fail {
  return typeof value === "boolean" ? value : fail(at, `must be a boolean, not ${describe(value)}`);
}

export function oneOf<const T extends string | number>(...values: readonly T[]): Decoder<T> {
  return (value, at) => {
    const found = values.find((allowed) => allowed === value);
    if (found !== undefined) return found;
    const shown = typeof value === "string" ? `"${value}"` : describe(value);
    return fail(at, `must be one of ${values.join(", ")}, not ${shown}`);
  };
}

export interface ListRules<T> {
  min?: number;
  max?: number;
  /** Entries with equal keys are refused, as the API server does for map lists. */
  unique?: { by: (item: T) => string; what: string };
}

export function list<T>(item: Decoder<T>, rules: ListRules<T> = {}): Decoder<T[]> {
  const { min = 0, max = Infinity, unique } = rules;
  return (value, at) => {
    if (!Array.isArray(value)) return fail(at, `must be a list, not ${describe(value)}`);
    if (value.length < min) {
      return fail(at, `must have at least ${min} ${min === 1 ? "entry" : "entries"}`);
    }
    if (value.length > max) return fail(at, `has ${value.length} entries, at most ${max} fit`);
    const items: T[] = [];
    const seen = new Set<string>();
    let failed = false;
    for (const [index, entry] of value.entries()) {
      const place = below(at, index);
      const decoded = item(entry, place);
      if (decoded === FAIL) {
        failed = true;
        continue;
      }
      items.push(decoded);
      const key = unique?.by(decoded);
      if (key === undefined) continue;
      if (seen.has(key)) {
        fail(place, `${unique?.what} "${key}" is there twice`);
        failed = true;
      }
      seen.add(key);
    }
    return failed ? FAIL : items;
  };
}

/** An object used as a map with string values. */
export function stringMap(value: unknown, at: At): Record<string, string> | Fail {
  const record = asRecord(value);
  if (record === undefined) return fail(at, `must be an object, not ${describe(value)}`);
  const out: [string, string][] = [];
  let failed = false;
  for (const [key, entry] of Object.entries(record)) {
    const decoded = string()(entry, below(at, key));
    if (decoded === FAIL) failed = true;
    else out.push([key, decoded]);
  }
  // fromEntries makes own members, also of a key such as __proto__.
  return failed ? FAIL : Object.fromEntries(out);
}

/** One member of an object. */
export interface Field<T> {
  decode: Decoder<T>;
  required: boolean;
  /** Makes the default of an absent member. */
  fallback?: () => T;
}

export function required<T>(decode: Decoder<T>): Field<T> {
  return { decode, required: true };
}
export function optional<T>(decode: Decoder<T>): Field<T> {
  return { decode, required: false };
}
export function defaulted<T>(decode: Decoder<T>, fallback: () => T): Field<T> {
  return { decode, required: false, fallback };
}

type Fields<T> = { [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

export interface ObjectRules {
  /** Members that exist but that nothing reads: neither decoded nor warned about. */
  ignore?: readonly string[];
}

/** An object with exactly these members; others are pruned with a warning. */
export function object<T extends object>(fields: Fields<T>, rules: ObjectRules = {}): Decoder<T> {
  const ignored = new Set(rules.ignore ?? []);
  const names = Object.keys(fields) as (keyof T & string)[];
  const known = new Set<string>(names);
  return (value, at) => {
    const record = asRecord(value);
    if (record === undefined) return fail(at, `must be an object, not ${describe(value)}`);
    const out: Partial<T> = {};
    let failed = false;
    for (const name of names) {
      const field: Field<Exclude<T[keyof T & string], undefined>> = fields[name];
      const given = record[name];
      if (given === undefined || given === null) {
        if (field.fallback !== undefined) out[name] = field.fallback();
        else if (field.required) {
          fail(at, `"${name}" is missing`);
          failed = true;
        }
        continue;
      }
      const decoded = field.decode(given, below(at, name));
      if (decoded === FAIL) failed = true;
      else out[name] = decoded;
    }
    for (const name of Object.keys(record)) {
      if (known.has(name) || ignored.has(name)) continue;
      at.report({
        severity: "warning",
        path: [...at.path, name],
        key: true,
        message: `unknown field "${name}" is ignored; expected one of ${names.join(", ")}`,
      });
    }
    return failed ? FAIL : out as T;
  };
}

/** Adds rules over a decoded value; the value fails when a rule reports an error. */
export function check<T>(decode: Decoder<T>, rule: (value: T, at: At) => void): Decoder<T> {
  return (value, at) => {
    const decoded = decode(value, at);
    if (decoded === FAIL) return FAIL;
    let failed = false;
    rule(decoded, {
      path: at.path,
      report: (finding) => {
        if (finding.severity === "error") failed = true;
        at.report(finding);
      },
    });
    return failed ? FAIL : decoded;
  };
}

/** Turns a decoded value into another. */
export function map<A, B>(decode: Decoder<A>, change: (value: A) => B): Decoder<B> {
  return (value, at) => {
    const decoded = decode(value, at);
    return decoded === FAIL ? FAIL : change(decoded);
  };
}

/** A plain object, or undefined. */
export function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : undefined;
}
