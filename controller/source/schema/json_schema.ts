/**
 * The structural schemas of custom resources, as far as the definitions in `crds/` use them. A
 * keyword that nothing here enforces is refused, so that no rule of a definition is passed over in
 * silence.
 */
import { asRecord } from "../decode/decoder.ts";

/** A JSON value. */
export type JsonValue = null | string | number | boolean | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/** One entry of `x-kubernetes-validations`. */
export interface ValidationRule {
  rule: string;
  message: string;
}

/** OpenAPI v3 schema in the structural form of apiextensions.k8s.io/v1. */
export interface JsonSchema {
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  /** For readers of the definition. */
  description?: string;
  format?: string;
  nullable?: boolean;
  default?: JsonValue;
  enum?: JsonValue[];
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema;
  required?: string[];
  minProperties?: number;
  maxProperties?: number;
  items?: JsonSchema;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  oneOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  not?: JsonSchema;
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-preserve-unknown-fields"?: boolean;
  "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  "x-kubernetes-list-map-keys"?: string[];
  "x-kubernetes-map-type"?: "atomic" | "granular";
  "x-kubernetes-validations"?: ValidationRule[];
}

type Check = (value: unknown, path: string) => boolean;

const isString: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isBoolean: Check = (value) => typeof value === "boolean";
const isAnything: Check = () => true;
const listOf = (item: Check): Check => (value, path) =>
  Array.isArray(value) && value.every((entry, index) => item(entry, `${path}[${index}]`));
const isSchema: Check = (value, path) => {
  schemaOf(value, path);
  return true;
};
const isSchemaMap: Check = (value, path) =>
  Object.entries(asRecord(value) ?? {}).every(([name, entry]) =>
    isSchema(entry, `${path}.${name}`)
  );
const isRule: Check = (value) => {
  const { rule, message, ...others } = asRecord(value) ?? {};
  return isString(rule, "") && isString(message, "") && Object.keys(others).length === 0;
};

const KEYWORDS: Readonly<Record<keyof JsonSchema, Check>> = {
  type: (value) =>
    ["object", "array", "string", "integer", "number", "boolean"].includes(String(value)),
  description: isString,
  format: isString,
  nullable: isBoolean,
  default: isAnything,
  enum: listOf(isAnything),
  properties: isSchemaMap,
  additionalProperties: isSchema,
  required: listOf(isString),
  minProperties: isNumber,
  maxProperties: isNumber,
  items: isSchema,
  minItems: isNumber,
  maxItems: isNumber,
  pattern: isString,
  minLength: isNumber,
  maxLength: isNumber,
  minimum: isNumber,
  maximum: isNumber,
  oneOf: listOf(isSchema),
  anyOf: listOf(isSchema),
  not: isSchema,
  "x-kubernetes-int-or-string": isBoolean,
  "x-kubernetes-preserve-unknown-fields": isBoolean,
  "x-kubernetes-list-type": (value) => ["atomic", "set", "map"].includes(String(value)),
  "x-kubernetes-list-map-keys": listOf(isString),
  // Says how writers merge; nothing to validate.
  "x-kubernetes-map-type": isString,
  "x-kubernetes-validations": listOf(isRule),
};

/**
 * A value as a schema. Throws an error that names the path and the keyword when it has one that is
 * malformed or not enforced here.
 */
export function schemaOf(value: unknown, path: string): JsonSchema {
  const record = asRecord(value);
  if (record === undefined) throw new TypeError(`${path}: a schema must be an object`);
  const checks: Readonly<Record<string, Check>> = KEYWORDS;
  for (const [keyword, entry] of Object.entries(record)) {
    const check = Object.hasOwn(checks, keyword) ? checks[keyword] : undefined;
    if (check === undefined) {
      throw new TypeError(`${path}: "${keyword}" is not enforced; add it to schema/validate.ts`);
    }
    if (!check(entry, `${path}.${keyword}`)) throw new TypeError(`${path}: bad "${keyword}"`);
  }
  return record as JsonSchema;
}
