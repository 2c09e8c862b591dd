/** Values of a schema for property tests, and single changes that break them. For tests only. */
import fc from "fast-check";
import { asRecord, type Path } from "../decode/decoder.ts";
import type { JsonSchema } from "./json_schema.ts";

/** Values that the structure of a schema admits, with short lists; rules may still break. */
export function valuesOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  // The one condition in use is about addresses.
  if (schema.oneOf !== undefined) {
    return fc.constantFrom({ type: "IPAddress", value: "10.0.0.1" }, { value: "::1" }, {
      type: "Hostname",
      value: "a.example.com",
    });
  }
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case "object":
      return objectsOf(schema);
    case "array":
      return listsOf(schema);
    case "string":
      return textsOf(schema);
    case "integer":
    case "number":
      return fc.integer({ min: schema.minimum ?? -1000, max: schema.maximum ?? 1000 });
    case "boolean":
      return fc.boolean();
    default:
      return fc.constant("anything");
  }
}

function objectsOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties, maxProperties = 2 } = schema;
  if (additionalProperties !== undefined) {
    return fc.dictionary(fc.constantFrom("a", "b.com/c"), valuesOf(additionalProperties), {
      maxKeys: Math.min(maxProperties, 2),
    });
  }
  const members: Record<string, fc.Arbitrary<unknown>> = Object.fromEntries(
    Object.entries(properties).map(([name, child]) => [name, valuesOf(child)]),
  );
  return fc.record(members, { requiredKeys: required });
}

function listsOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { items = {}, minItems = 0, maxItems = 2 } = schema;
  const bounds = { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, 2)) };
  const keys = schema["x-kubernetes-list-map-keys"];
  const selector = (item: unknown) =>
    JSON.stringify(keys === undefined ? item : keys.map((key) => asRecord(item)?.[key]));
  return schema["x-kubernetes-list-type"] === "atomic"
    ? fc.array(valuesOf(items), bounds)
    : fc.uniqueArray(valuesOf(items), { ...bounds, selector });
}

function textsOf({ pattern, format, minLength = 0, maxLength = 20 }: JsonSchema) {
  if (format === "date-time") return fc.constant("2026-01-31T12:00:00Z");
  if (pattern === undefined) {
    return fc.string({ minLength, maxLength: Math.min(maxLength, 20), unit: "grapheme" })
      .filter((text) => [...text].length <= maxLength);
  }
  return fc.stringMatching(new RegExp(pattern), { size: "xsmall" })
    .filter((text) => text.length >= minLength && text.length <= maxLength);
}

/** One change of a value. */
export interface Mutation {
  what: string;
  /** Where the error is expected. */
  path: Path;
  /** The changed value; the original stays. */
  make: (value: unknown) => unknown;
}

/** Every single change of a value that its schema must refuse. */
export function mutationsOf(value: unknown, schema: JsonSchema, path: Path = []): Mutation[] {
  const out: Mutation[] = [];
  const put = (what: string, wrong: unknown) =>
    out.push({ what, path, make: (whole) => replaced(whole, { path, wrong }) });
  if (schema.oneOf !== undefined) put("condition", { type: "IPAddress", value: "none" });
  if (schema.enum !== undefined) put("enum", schema.type === "string" ? "\u0000" : -7);
  if (typeof value === "string") {
    put("type of a string", {});
    if (schema.pattern !== undefined) put("pattern", "\u0000");
    if ((schema.minLength ?? 0) > 0) put("minLength", "");
    if (schema.maxLength !== undefined) put("maxLength", "a".repeat(schema.maxLength + 1));
  } else if (typeof value === "number") {
    put("type of a number", "1");
    put("fraction", 1.5);
    if (schema.minimum !== undefined) put("minimum", schema.minimum - 1);
    if (schema.maximum !== undefined) put("maximum", schema.maximum + 1);
  } else if (Array.isArray(value)) {
    put("type of a list", "x");
    if ((schema.minItems ?? 0) > 0) put("minItems", []);
    if (schema.maxItems !== undefined) put("maxItems", Array(schema.maxItems + 1).fill(value[0]));
    value.forEach((item, index) =>
      out.push(...mutationsOf(item, schema.items ?? {}, [...path, index]))
    );
  } else if (asRecord(value) !== undefined) {
    put("type of an object", []);
    const record = asRecord(value) ?? {};
    for (const [name, member] of Object.entries(record)) {
      const child = schema.properties?.[name] ?? schema.additionalProperties ?? {};
      out.push(...mutationsOf(member, child, [...path, name]));
      if (!schema.required?.includes(name) || child.default !== undefined) continue;
      const { [name]: _gone, ...rest } = record;
      put(`required ${name}`, rest);
    }
  }
  return out;
}

function replaced(
  value: unknown,
  { path, wrong }: { path: Path; wrong: unknown },
): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return wrong;
  if (Array.isArray(value)) {
    return value.map((item, index) => index === key ? replaced(item, { path: rest, wrong }) : item);
  }
  const record = asRecord(value) ?? {};
  return { ...record, [key]: replaced(record[key], { path: rest, wrong }) };
}
