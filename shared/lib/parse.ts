/**
 * Reading untyped values at a border: each function checks one shape and names the place when it
 * is wrong, so that what is behind the border can trust its types.
 */

/** A value that does not have the shape that was asked for; the message names where. */
export class ParseError extends Error {
  override name = "ParseError";
  constructor(readonly path: string, expected: string) {
    super(`${path === "" ? "value" : path}: expected ${expected}`);
  }
}

/** An object, with its unknown keys refused: a misspelt setting must not be ignored. */
export function parseObject<K extends string>(
  value: unknown,
  options: { path: string; keys: readonly K[] },
): Partial<Record<K, unknown>> {
  const { path, keys } = options;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ParseError(path, "an object");
  }
  const known: readonly string[] = keys;
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw new ParseError(path === "" ? key : `${path}.${key}`, `one of ${keys.join(", ")}`);
    }
  }
  return value as Partial<Record<K, unknown>>;
}

/** A non-empty string. */
export function parseString(value: unknown, path: string): string {
  if (typeof value !== "string" || value === "") throw new ParseError(path, "a non-empty string");
  return value;
}

/** A string, or the default when absent. */
export function parseOptionalString(value: unknown, path: string, fallback = ""): string {
  return value === undefined ? fallback : parseString(value, path);
}

/** A list of non-empty strings. */
export function parseStrings(value: unknown, path: string): string[] {
  if (!Array.isArray(value)) throw new ParseError(path, "a list of strings");
  return value.map((item, i) => parseString(item, `${path}[${i}]`));
}

/** An integer within bounds. */
export function parseInteger(
  value: unknown,
  options: { path: string; min: number; max: number; fallback?: number },
): number {
  const { path, min, max, fallback } = options;
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw new ParseError(path, `an integer from ${min} to ${max}`);
  }
  return value;
}

/** A boolean, or the default when absent. */
export function parseBoolean(value: unknown, path: string, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== "boolean") throw new ParseError(path, "true or false");
  return value;
}
