/**
 * The subjectAltName extension of a certificate, read from its DER (RFC 5280 §4.2.1.6). The text
 * form that the platform gives joins names with commas and escapes nothing, so that a URI could
 * pass for a DNS name; identity is never judged by it.
 */

/** The names that can identify a backend; others (addresses, mail) are left out. */
export interface SubjectAltNames {
  /** Lower-case. */
  dns: readonly string[];
  /** As they are. */
  uri: readonly string[];
}

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const BOOLEAN = 0x01;
const OCTET_STRING = 0x04;
/** `extensions [3]` of TBSCertificate. */
const EXTENSIONS = 0xa3;
/** `dNSName [2]` and `uniformResourceIdentifier [6]` of GeneralName. */
const DNS_NAME = 0x82;
const URI = 0x86;
/** 2.5.29.17 */
const SUBJECT_ALT_NAME = "551d11";

interface Element {
  tag: number;
  /** The content. */
  bytes: Uint8Array;
}

/**
 * The names in a certificate; none when it has no such extension.
 *
 * @param der the whole certificate, as a TLS library handed it over
 * @throws {TypeError} when it is not DER of a certificate
 */
export function subjectAltNames(der: Uint8Array): SubjectAltNames {
  const names = { dns: [] as string[], uri: [] as string[] };
  const certificate = only(der, SEQUENCE);
  const tbs = [...elements(certificate)][0];
  if (tbs?.tag !== SEQUENCE) throw new TypeError("not a certificate");
  for (const { tag, bytes } of elements(tbs.bytes)) {
    if (tag !== EXTENSIONS) continue;
    for (const extension of elements(only(bytes, SEQUENCE))) {
      const value = subjectAltNameValue(extension);
      if (value === undefined) continue;
      for (const name of elements(only(value, SEQUENCE))) {
        if (name.tag === DNS_NAME) names.dns.push(text(name.bytes).toLowerCase());
        else if (name.tag === URI) names.uri.push(text(name.bytes));
      }
    }
  }
  return names;
}

/** `Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue }` */
function subjectAltNameValue({ tag, bytes }: Element): Uint8Array | undefined {
  if (tag !== SEQUENCE) throw new TypeError("malformed extension");
  const [id, ...rest] = elements(bytes);
  if (id?.tag !== OBJECT_IDENTIFIER) throw new TypeError("malformed extension");
  if (hex(id.bytes) !== SUBJECT_ALT_NAME) return undefined;
  const value = rest[0]?.tag === BOOLEAN ? rest[1] : rest[0];
  if (value?.tag !== OCTET_STRING) throw new TypeError("malformed extension");
  return value.bytes;
}

/** The content of the one element that the bytes are. */
function only(bytes: Uint8Array, tag: number): Uint8Array {
  const [element, more] = [...elements(bytes)];
  if (element?.tag !== tag || more !== undefined) throw new TypeError("malformed certificate");
  return element.bytes;
}

function* elements(bytes: Uint8Array): Generator<Element> {
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at]!;
    let length = bytes[at + 1];
    let start = at + 2;
    if (length === undefined) throw new TypeError("cut off");
    if (length >= 0x80) {
      const digits = length & 0x7f;
      // DER has no indefinite lengths, and no certificate is 4 GiB long.
      if (digits === 0 || digits > 4) throw new TypeError("malformed length");
      length = 0;
      for (const digit of bytes.subarray(start, start + digits)) length = length * 256 + digit;
      start += digits;
    }
    if (start + length > bytes.length) throw new TypeError("cut off");
    yield { tag, bytes: bytes.subarray(start, start + length) };
    at = start + length;
  }
}

/** IA5String: a character above 127 is in no name that could be meant. */
function text(bytes: Uint8Array): string {
  let out = "";
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
