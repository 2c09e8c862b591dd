/** One header field as HPACK hands it out: classified once, however often it is referred to. */

/** What the message rules want to know of a name; everything else is REGULAR. */
export const REGULAR = 0;
export const METHOD = 1;
export const SCHEME = 2;
export const AUTHORITY = 3;
export const PATH = 4;
export const STATUS = 5;
export const PROTOCOL = 6;
export const HOST = 7;
export const COOKIE = 8;
export const CONTENT_LENGTH = 9;
export const TE = 10;
export const EXPECT = 11;
/** Speaks about one connection, which HTTP/2 does with frames (RFC 9113 §8.2.2). */
export const CONNECTION_SPECIFIC = 12;
/** A pseudo-header that nobody defined. */
export const UNKNOWN_PSEUDO = 13;

const KINDS: ReadonlyMap<string, number> = new Map([
  [":method", METHOD],
  [":scheme", SCHEME],
  [":authority", AUTHORITY],
  [":path", PATH],
  [":status", STATUS],
  [":protocol", PROTOCOL],
  ["host", HOST],
  ["cookie", COOKIE],
  ["content-length", CONTENT_LENGTH],
  ["te", TE],
  ["expect", EXPECT],
  ["connection", CONNECTION_SPECIFIC],
  ["keep-alive", CONNECTION_SPECIFIC],
  ["proxy-connection", CONNECTION_SPECIFIC],
  ["transfer-encoding", CONNECTION_SPECIFIC],
  ["upgrade", CONNECTION_SPECIFIC],
]);

/** What a name means to the message rules. */
export function kindOfName(name: string): number {
  return KINDS.get(name) ?? (name.charCodeAt(0) === 58 ? UNKNOWN_PSEUDO : REGULAR);
}

/** A name and a value. Table entries are shared by every block that refers to them. */
export class HeaderField {
  readonly kind: number;
  /** RFC 7541 §4.1. */
  readonly size: number;
  /**
   * Whether it may appear in a message at all (RFC 9113 §8.2.1). A field that may not still takes
   * its place in the dynamic table.
   */
  readonly valid: boolean;

  constructor(
    readonly name: string,
    readonly value: string,
    readonly nameValid = true,
    valueValid = true,
  ) {
    this.kind = kindOfName(name);
    this.size = name.length + value.length + 32;
    this.valid = nameValid && valueValid;
  }
}

const NAME_OCTET = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789") NAME_OCTET[char.charCodeAt(0)] = 1;
for (let code = 97; code <= 122; code++) NAME_OCTET[code] = 1;

/** Is it a token without upper case, with or without the colon of a pseudo-header before it? */
export function isFieldName(bytes: Uint8Array, from: number, end: number): boolean {
  let i = from;
  if (i < end && bytes[i] === 58) i++;
  if (i === end) return false;
  for (; i < end; i++) if (NAME_OCTET[bytes[i] as number] === 0) return false;
  return true;
}

/** Neither control octets nor blanks at either end. */
export function isFieldValue(bytes: Uint8Array, from: number, end: number): boolean {
  if (from === end) return true;
  if (isBlank(bytes[from]) || isBlank(bytes[end - 1])) return false;
  for (let i = from; i < end; i++) {
    const octet = bytes[i] as number;
    if ((octet < 32 && octet !== 9) || octet === 127) return false;
  }
  return true;
}

function isBlank(octet: number | undefined): boolean {
  return octet === 32 || octet === 9;
}
