/** The static table (RFC 7541 Appendix A), read both ways. */
import { HeaderField } from "./header_field.ts";

const ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** Number of entries; the dynamic table's indices follow. */
export const STATIC_ENTRIES = 61;

/** Fields by index, from 1. */
export const STATIC_FIELDS: readonly (HeaderField | undefined)[] = [
  undefined,
  ...ENTRIES.map(([name, value]) => new HeaderField(name, value)),
];

/** What the static table knows of a name. */
export interface StaticName {
  /** Of the first entry with this name. */
  readonly index: number;
  /** Value → index of the entry that holds both. */
  readonly values: ReadonlyMap<string, number>;
}

export const STATIC_NAMES: ReadonlyMap<string, StaticName> = byName();

function byName(): Map<string, StaticName> {
  const names = new Map<string, { index: number; values: Map<string, number> }>();
  ENTRIES.forEach(([name, value], at) => {
    const known = names.get(name) ?? { index: at + 1, values: new Map() };
    if (value !== "") known.values.set(value, at + 1);
    names.set(name, known);
  });
  return names;
}
