/**
 * A value against a structural schema, as an API server admits it: unknown fields pruned, nulls
 * dropped, defaults filled in, then types, limits, patterns, enums, list keys, conditions and
 * rules. Every problem is reported, not only the first.
 */
import { asRecord, type At, describe, FAIL, type Fail } from "../decode/decoder.ts";
import type { CompiledRule } from "./cel.ts";
import type { SchemaNode } from "./compile.ts";
import { conditionInWords, holds } from "./holds.ts";
import type { JsonValue } from "./json_schema.ts";
import { integerRange } from "./string_formats.ts";
import { nearest } from "./nearest.ts";
import { ruleMessage, shown } from "./wording.ts";

/** Longer keys of maps are refused before anything is done with them. */
const MAX_KEY_LENGTH = 4096;

const TYPE_NAMES = {
  object: "an object",
  array: "a list",
  string: "a string",
  integer: "an integer",
  number: "a number",
  boolean: "a boolean",
} as const;

/**
 * Returns the value as it would be stored, a new one; or FAIL after at least one error was reported
 * at `at`. The value given is never changed.
 */
export function validate(value: unknown, options: { node: SchemaNode; at: At }): unknown | Fail {
  const walk = new Walk(options.at);
  const stored = walk.value(value, options.node);
  return walk.failed ? FAIL : stored;
}

/** One validation: the place in the value, and what was found so far. */
class Walk {
  readonly #report: At["report"];
  readonly #path: (string | number)[];
  /** Errors of structure: rules over a value that has one are not run. */
  #errors = 0;
  #broken = 0;

  constructor({ path, report }: At) {
    this.#report = report;
    this.#path = [...path];
  }

  get failed(): boolean {
    return this.#errors + this.#broken > 0;
  }

  value(value: unknown, node: SchemaNode): unknown {
    const before = this.#errors;
    const stored = this.#structure(value, node);
    if (this.#errors > before) return stored;
    for (const { only, of } of node.choices) this.#choice(stored, { only, of });
    if (this.#errors === before) { for (const rule of node.rules) this.#rule(stored, rule); }
    return stored;
  }

  #structure(value: unknown, node: SchemaNode): unknown {
    const { schema } = node;
    if (schema["x-kubernetes-int-or-string"]) {
      return typeof value === "string" ? this.#string(value, node) : this.#number(value, node);
    }
    switch (schema.type) {
      case "object":
        return this.#object(value, node);
      case "array":
        return this.#list(value, node);
      case "string":
        return typeof value === "string" ? this.#string(value, node) : this.#wrongType(value, node);
      case "integer":
      case "number":
        return this.#number(value, node);
      case "boolean":
        return typeof value === "boolean" ? value : this.#wrongType(value, node);
      case undefined:
        // Only where the schema preserves what it does not know.
        return value;
      default:
        return schema.type satisfies never;
    }
  }

  #object(value: unknown, node: SchemaNode): unknown {
    const record = asRecord(value);
    if (record === undefined) return this.#wrongType(value, node);
    const members: [string, unknown][] = [];
    for (const [name, child] of node.properties) {
      const given = Object.hasOwn(record, name) ? record[name] : undefined;
      const entry = this.#withDefault(given, child);
      if (entry !== undefined) members.push([name, this.#below(name, { value: entry, child })]);
      else if (node.required.has(name)) this.#error(`"${name}" is missing`);
    }
    for (const [name, given] of Object.entries(record)) {
      if (!node.properties.has(name)) this.#other([name, given], { node, members });
    }
    const { minProperties = 0, maxProperties = Infinity } = node.schema;
    if (members.length > maxProperties) {
      this.#error(`has ${members.length} members, at most ${maxProperties} fit`);
    }
    if (members.length < minProperties) this.#error(`must have at least ${minProperties} members`);
    // fromEntries makes own members, also of a key such as __proto__.
    return Object.fromEntries(members);
  }

  /** A null is pruned before defaults are filled in, unless the schema allows it. */
  #withDefault(given: unknown, child: SchemaNode): unknown {
    if (given !== undefined && (given !== null || child.schema.nullable)) return given;
    return child.schema.default;
  }

  /** A member that the schema does not name: an entry of a map, or unknown. */
  #other(
    [name, given]: [string, unknown],
    { node, members }: { node: SchemaNode; members: [string, unknown][] },
  ): void {
    const child = node.additional;
    if (child !== undefined) {
      if (name.length > MAX_KEY_LENGTH) return this.#error("has a key that is too long");
      if (given !== null) members.push([name, this.#below(name, { value: given, child })]);
    } else if (node.schema["x-kubernetes-preserve-unknown-fields"]) {
      members.push([name, given]);
    } else this.#unknownField(name, [...node.properties.keys()]);
  }

  #unknownField(name: string, known: string[]): void {
    const meant = nearest(name, known);
    const hint = meant === undefined
      ? known.length === 0 ? "" : `; expected one of ${known.join(", ")}`
      : `; did you mean "${meant}"?`;
    this.#report({
      severity: "warning",
      path: [...this.#path, name],
      key: true,
      message: `unknown field "${name}" is ignored${hint}`,
    });
  }

  #list(value: unknown, node: SchemaNode): unknown {
    if (!Array.isArray(value)) return this.#wrongType(value, node);
    const { minItems = 0, maxItems = Infinity } = node.schema;
    if (value.length < minItems) {
      this.#error(`must have at least ${minItems} ${minItems === 1 ? "entry" : "entries"}`);
    }
    if (value.length > maxItems) {
      // Its entries are not looked at: the list may have any length.
      return this.#error(`has ${value.length} entries, at most ${maxItems} fit`);
    }
    const child = node.items;
    const items = child === undefined
      ? value
      : value.map((entry, index) => this.#below(index, { value: entry, child }));
    this.#unique(items, node);
    return items;
  }

  /** Lists that are sets or maps have no entry, or key, twice. */
  #unique(items: unknown[], { schema }: SchemaNode): void {
    const type = schema["x-kubernetes-list-type"];
    if (type !== "set" && type !== "map") return;
    const keys = schema["x-kubernetes-list-map-keys"] ?? [];
    const seen = new Set<string>();
    items.forEach((item, index) => {
      const values = type === "set" ? item : keys.map((key) => asRecord(item)?.[key]);
      const key = JSON.stringify(values);
      if (seen.has(key)) this.#twice(index, { keys, item });
      seen.add(key);
    });
  }

  #twice(index: number, { keys, item }: { keys: readonly string[]; item: unknown }): void {
    const named = keys.map((key) => `${key} ${shown(asRecord(item)?.[key])}`).join(", ");
    const what = keys.length === 0 ? shown(item) : named;
    this.#path.push(index);
    this.#error(`${what} is there twice; it must be unique in the list`);
    this.#path.pop();
  }

  #string(value: string, { schema, pattern, format }: SchemaNode): unknown {
    const { minLength = 0, maxLength = Infinity } = schema;
    // Lengths count code points, of which a text has at most as many as code units.
    if (value.length > maxLength && [...value].length > maxLength) {
      return this.#error(`is longer than ${maxLength} characters`);
    }
    if (value.length < 2 * minLength && [...value].length < minLength) {
      return this.#error(
        minLength === 1 ? "must not be empty" : `must have at least ${minLength} characters`,
      );
    }
    if (!this.#allowed(value, schema.enum)) return value;
    if (pattern !== undefined && !pattern.regex.test(value)) {
      this.#error(`${shown(value)} is not ${pattern.what}`);
    } else if (format !== undefined && !format.test(value)) {
      this.#error(`${shown(value)} is not ${format.what}`);
    }
    return value;
  }

  #number(value: unknown, node: SchemaNode): unknown {
    const { schema } = node;
    if (typeof value !== "number" || !Number.isFinite(value)) return this.#wrongType(value, node);
    const whole = schema.type !== "number";
    if (whole && !Number.isInteger(value)) return this.#wrongType(value, node);
    if (!this.#allowed(value, schema.enum)) return value;
    const range = whole ? integerRange(schema.format) : { min: -Infinity, max: Infinity };
    const { minimum = range.min, maximum = range.max } = schema;
    if (value >= minimum && value <= maximum) return value;
    const { minimum: low, maximum: high } = schema;
    if (low !== undefined && high !== undefined) {
      return this.#error(`must be from ${low} to ${high}, not ${value}`);
    }
    const bound = value < minimum ? `at least ${minimum}` : `at most ${maximum}`;
    return this.#error(`must be ${bound}, not ${value}`);
  }

  #allowed(value: string | number, allowed: readonly JsonValue[] | undefined): boolean {
    if (allowed === undefined || allowed.includes(value)) return true;
    this.#error(`must be one of ${allowed.join(", ")}, not ${shown(value)}`);
    return false;
  }

  #choice(value: unknown, { only, of }: SchemaNode["choices"][number]): void {
    const count = of.filter((condition) => holds(value, condition)).length;
    if (only ? count === 1 : count > 0) return;
    const forms = of.map(conditionInWords).join("; or ");
    this.#error(`must be ${only ? "exactly one" : "one"} of: ${forms}`);
  }

  #rule(value: unknown, rule: CompiledRule): void {
    const result = rule.check(value);
    if (result.kind === "holds") return;
    for (const entry of result.entries ?? [undefined]) {
      const item = Array.isArray(value) && entry !== undefined ? value[Number(entry)] : value;
      this.#broken++;
      this.#report({
        severity: "error",
        path: entry === undefined ? [...this.#path] : [...this.#path, entry],
        // Rules over a map judge its keys.
        ...(typeof entry === "string" ? { key: true } : {}),
        message: ruleMessage(rule.message, { value: item, error: result.error }),
      });
    }
  }

  #below(key: string | number, { value, child }: { value: unknown; child: SchemaNode }): unknown {
    this.#path.push(key);
    const stored = this.value(value, child);
    this.#path.pop();
    return stored;
  }

  #wrongType(value: unknown, { schema }: SchemaNode): undefined {
    const wanted = schema["x-kubernetes-int-or-string"]
      ? "an integer or a string"
      : TYPE_NAMES[schema.type ?? "object"];
    return this.#error(`must be ${wanted}, not ${describe(value)}`);
  }

  #error(message: string): undefined {
    this.#errors++;
    this.#report({ severity: "error", path: [...this.#path], message });
  }
}
