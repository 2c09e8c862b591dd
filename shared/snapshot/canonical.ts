/**
 * Canonical JSON (RFC 8785), restricted to what snapshots hold: objects, arrays, well-formed
 * strings, booleans and safe integers. One value has exactly one text, so equality is equality of
 * bytes.
 */

/** The value has no canonical form; `path` names the place in it. */
export class CanonicalError extends Error {
  override readonly name = "CanonicalError";
  readonly path: string;
  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`);
    this.path = path;
  }
}

/** Nesting beyond this is refused: no resource comes near, and a stack has an end. */
const MAX_DEPTH = 64;

/**
 * The canonical text of `value`.
 * @throws {CanonicalError} for null, undefined, floats, integers beyond 2^53-1, lone surrogates and
 * anything that is not plain data.
 */
export function canonicalize(value: unknown): string {
  return write(value, "$", 0);
}

const encoder = new TextEncoder();

/** The UTF-8 bytes of {@linkcode canonicalize}. */
export function canonicalBytes(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(canonicalize(value));
}

function write(value: unknown, path: string, depth: number): string {
  switch (typeof value) {
    case "string":
      return writeString(value, path);
    case "boolean":
      return value ? "true" : "false";
    case "number":
      if (!Number.isSafeInteger(value)) {
        throw new CanonicalError(path, `${value} is not an integer of at most 2^53-1`);
      }
      return String(value);
    case "object":
      if (value === null) throw new CanonicalError(path, "null has no place here; leave it out");
      if (depth >= MAX_DEPTH) throw new CanonicalError(path, "nested too deeply");
      return Array.isArray(value)
        ? writeArray(value, path, depth + 1)
        : writeObject(value, path, depth + 1);
    default:
      throw new CanonicalError(path, `${typeof value} is not data`);
  }
}

function writeString(value: string, path: string): string {
  if (!value.isWellFormed()) throw new CanonicalError(path, "lone surrogate");
  // RFC 8785 §3.2.2.2 takes over ECMAScript's JSON.stringify for well-formed strings.
  return JSON.stringify(value);
}

function writeArray(value: readonly unknown[], path: string, depth: number): string {
  let text = "[";
  for (let i = 0; i < value.length; i++) {
    if (i > 0) text += ",";
    text += write(value[i], `${path}[${i}]`, depth);
  }
  return text + "]";
}

function writeObject(value: object, path: string, depth: number): string {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new CanonicalError(path, "not a plain object");
  }
  let text = "{";
  let first = true;
  const members = new Map<string, unknown>(Object.entries(value));
  // The default sort compares UTF-16 code units, as RFC 8785 §3.2.3 asks.
  for (const key of [...members.keys()].sort()) {
    if (first) first = false;
    else text += ",";
    const at = `${path}.${key}`;
    text += writeString(key, at) + ":" + write(members.get(key), at, depth);
  }
  return text + "}";
}
