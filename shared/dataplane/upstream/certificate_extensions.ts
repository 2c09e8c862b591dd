/** Extensions of a certificate, read from its DER (X.690, RFC 5280 §4.1). */

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const BOOLEAN = 0x01;
const OCTET_STRING = 0x04;
/** `extensions [3]` of TBSCertificate. */
const EXTENSIONS = 0xa3;

/** One element of DER. */
export interface DerElement {
  tag: number;
  /** The content. */
  bytes: Uint8Array;
}

/**
 * The elements of the sequence that an extension's value is; undefined when the certificate does not
 * have the extension.
 *
 * @param der the whole certificate, as a TLS library hands it over
 * @param id the extension's object identifier: hex of its DER content, `551d11` for 2.5.29.17
 * @throws {TypeError} when it is not DER of a certificate, or the value is no sequence
 */
export function certificateExtension(der: Uint8Array, id: string): DerElement[] | undefined {
  const [tbs] = derElements(only(der, SEQUENCE));
  if (tbs?.tag !== SEQUENCE) throw new TypeError("not a certificate");
  for (const { tag, bytes } of derElements(tbs.bytes)) {
    if (tag !== EXTENSIONS) continue;
    for (const extension of derElements(only(bytes, SEQUENCE))) {
      const value = extensionValue(extension, id);
      if (value !== undefined) return derElements(only(value, SEQUENCE));
    }
  }
  return undefined;
}

/** `Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue }` */
function extensionValue({ tag, bytes }: DerElement, wanted: string): Uint8Array | undefined {
  if (tag !== SEQUENCE) throw new TypeError("malformed extension");
  const [id, ...rest] = derElements(bytes);
  if (id?.tag !== OBJECT_IDENTIFIER) throw new TypeError("malformed extension");
  if (derHex(id) !== wanted) return undefined;
  const value = rest[0]?.tag === BOOLEAN ? rest[1] : rest[0];
  if (value?.tag !== OCTET_STRING) throw new TypeError("malformed extension");
  return value.bytes;
}

/** The content of the one element that the bytes are. */
function only(bytes: Uint8Array, tag: number): Uint8Array {
  const [element, more] = derElements(bytes);
  if (element?.tag !== tag || more !== undefined) throw new TypeError("malformed certificate");
  return element.bytes;
}

/** Throws a TypeError when the bytes end in the middle of an element. */
function derElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
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
    elements.push({ tag, bytes: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}

/** The content as hex. */
export function derHex({ bytes }: DerElement): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
