/** `oneOf`, `anyOf` and `not`: does a value satisfy a condition? Conditions never change it. */
import { asRecord } from "../decode/decoder.ts";
import type { JsonSchema } from "./json_schema.ts";
import { stringFormat } from "./string_formats.ts";

/** The keywords that conditions are made of; {@linkcode conditionProblem} finds others. */
const CONDITION = new Set(["properties", "required", "enum", "format", "oneOf", "anyOf", "not"]);

/** Does the value satisfy the condition? Absent members satisfy what is said of them. */
export function holds(value: unknown, condition: JsonSchema): boolean {
  const { properties, required, format, oneOf, anyOf, not } = condition;
  if (condition.enum !== undefined && !condition.enum.some((entry) => entry === value)) {
    return false;
  }
  const known = stringFormat(format);
  if (known !== undefined && typeof value === "string" && !known.test(value)) return false;
  const record = asRecord(value);
  if (record !== undefined) {
    if (required?.some((name) => record[name] === undefined)) return false;
    for (const [name, member] of Object.entries(properties ?? {})) {
      if (record[name] !== undefined && !holds(record[name], member)) return false;
    }
  }
  if (not !== undefined && holds(value, not)) return false;
  if (anyOf !== undefined && !anyOf.some((entry) => holds(value, entry))) return false;
  return oneOf === undefined || oneOf.filter((entry) => holds(value, entry)).length === 1;
}

/** The first keyword of a condition that {@linkcode holds} would pass over; undefined when none. */
export function conditionProblem(condition: JsonSchema): string | undefined {
  const other = Object.keys(condition).find((keyword) => !CONDITION.has(keyword));
  if (other !== undefined) return other;
  const { properties = {}, oneOf = [], anyOf = [], not } = condition;
  for (const part of [...Object.values(properties), ...oneOf, ...anyOf, ...(not ? [not] : [])]) {
    const problem = conditionProblem(part);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** A condition in words, such as `type one of IPAddress, value an IPv4 address or an IPv6 address`. */
export function conditionInWords(condition: JsonSchema): string {
  const { properties = {}, required = [], format, oneOf = [], anyOf = [], not } = condition;
  const parts = Object.entries(properties).map(([name, entry]) =>
    `${name} ${conditionInWords(entry)}`
  );
  if (required.length > 0) parts.push(`with ${required.join(" and ")}`);
  if (condition.enum !== undefined) parts.push(condition.enum.map(String).join(" or "));
  if (format !== undefined) parts.push(stringFormat(format)?.what ?? format);
  if (not !== undefined) parts.push(`other than ${conditionInWords(not)}`);
  const choices = [...oneOf, ...anyOf].map(conditionInWords);
  if (choices.length > 0) parts.push(choices.join(" or "));
  return parts.join(", ");
}
