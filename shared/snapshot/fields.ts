/** Reading members of untrusted plain data. Each refuses with the path of what is wrong. */
import { RefusalError } from "./refusal.ts";

/** An object as it came out of JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** Refuses with reason `content`. */
export function malformed(path: string, problem: string): RefusalError {
  return new RefusalError("content", `${path}: ${problem}`);
}

/** `value` as an object. */
export function asObject(value: unknown, path: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed(path, "must be an object");
  }
  return value as Fields;
}

/** `value` as an array, with the bound on its length that the caller can afford. */
export function asArray(value: unknown, path: string, max = 1_000_000): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(path, "must be a list");
  if (value.length > max) throw malformed(path, `more than ${max} entries`);
  return value;
}

/** `value` as a well-formed string of at most `max` code units. */
export function asString(value: unknown, path: string, max = 1_048_576): string {
  if (typeof value !== "string" || !value.isWellFormed()) throw malformed(path, "must be a string");
  if (value.length > max) throw malformed(path, `longer than ${max}`);
  return value;
}

/** `value` as a non-empty string. */
export function asText(value: unknown, path: string): string {
  const text = asString(value, path);
  if (text === "") throw malformed(path, "must not be empty");
  return text;
}

/** `value` as a boolean. */
export function asBoolean(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw malformed(path, "must be true or false");
  return value;
}

/** Bounds of an integer, both included. */
export interface IntegerRange {
  min?: number;
  max?: number;
}

/** `value` as an integer in a range; default 0 to 2^53-1. */
export function asInteger(value: unknown, path: string, range: IntegerRange = {}): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw malformed(path, `must be an integer from ${min} to ${max}`);
  }
  return value;
}

/** `value` as one of `options`. */
export function asOneOf<T extends string>(value: unknown, path: string, options: readonly T[]): T {
  const found = options.find((option) => option === value);
  if (found === undefined) throw malformed(path, `must be one of ${options.join(", ")}`);
  return found;
}

/** Reads `fields[name]` with `read`, or nothing when it is absent. */
export function optional<T>(
  fields: Fields,
  name: string,
  read: (value: unknown) => T,
): T | undefined {
  const value = fields[name];
  return value === undefined ? undefined : read(value);
}

/** Each entry of a list through `read`. */
export function asList<T>(
  value: unknown,
  path: string,
  read: (entry: unknown, path: string) => T,
): T[] {
  return asArray(value, path).map((entry, index) => read(entry, `${path}[${index}]`));
}
