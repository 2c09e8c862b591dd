/** RequestHeaderModifier and ResponseHeaderModifier (Gateway API HTTPHeaderFilter). */
import type { HeaderModifier } from "../../../snapshot/schema.ts";
import type { HeaderList } from "../types.ts";

/** A modifier with lower-case names and values that cannot break a line. */
export interface CompiledModifier {
  readonly set: HeaderList;
  readonly add: HeaderList;
  readonly remove: readonly string[];
}

/** Framing and addressing are not a filter's to change: Host is the rewrite filter's. */
const UNTOUCHABLE = new Set(["host", "content-length", "transfer-encoding", "connection"]);

/** Prepares a modifier once, so that applying it compares plain strings. */
export function compileModifier(modifier: HeaderModifier): CompiledModifier {
  const pairs = (list: HeaderModifier["set"]) =>
    (list ?? []).filter((header) => !UNTOUCHABLE.has(header.name.toLowerCase())).flatMap((
      header,
    ) => [header.name.toLowerCase(), cleanValue(header.value)]);
  return {
    set: pairs(modifier.set),
    add: pairs(modifier.add),
    remove: (modifier.remove ?? []).map((name) => name.toLowerCase()).filter((name) =>
      !UNTOUCHABLE.has(name)
    ),
  };
}

/** Whatever schema a value passed: it must not be able to start another header. */
function cleanValue(value: string): string {
  return value.replace(/[\0\r\n]+/g, " ").trim();
}

/**
 * Applies set, add, remove, in this order, in place. `add` joins with what is there by a comma, so
 * that a reader of the first line only sees it all (RFC 9110 §5.3); Set-Cookie alone cannot be
 * joined and gets a line of its own.
 */
export function modifyHeaders(headers: HeaderList, modifier: CompiledModifier): void {
  const { set, add, remove } = modifier;
  for (let i = 0; i < set.length; i += 2) setHeader(headers, set[i]!, set[i + 1]!);
  for (let i = 0; i < add.length; i += 2) addHeader(headers, add[i]!, add[i + 1]!);
  for (let i = 0; i < remove.length; i++) removeFrom(headers, remove[i]!, 0);
}

function setHeader(headers: HeaderList, name: string, value: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    headers[i + 1] = value;
    return removeFrom(headers, name, i + 2);
  }
  headers.push(name, value);
}

function addHeader(headers: HeaderList, name: string, value: string): void {
  if (name !== "set-cookie") {
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== name) continue;
      let joined = headers[i + 1]!;
      for (let k = i + 2; k < headers.length; k += 2) {
        if (headers[k] === name) joined += `,${headers[k + 1]}`;
      }
      removeFrom(headers, name, i + 2);
      headers[i + 1] = `${joined},${value}`;
      return;
    }
  }
  headers.push(name, value);
}

function removeFrom(headers: HeaderList, name: string, from: number): void {
  for (let i = headers.length - 2; i >= from; i -= 2) {
    if (headers[i] === name) headers.splice(i, 2);
  }
}
