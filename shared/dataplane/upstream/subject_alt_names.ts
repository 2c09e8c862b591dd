/**
 * The subjectAltName extension of a certificate (RFC 5280 §4.2.1.6). The text form that the platform
 * gives joins names with commas and escapes nothing, so that a URI could pass for a DNS name;
 * identity is never judged by it.
 */
import { certificateExtension } from "./certificate_extensions.ts";

/** The names that can identify a backend; others (addresses, mail) are left out. */
export interface SubjectAltNames {
  /** Lower-case. */
  dns: readonly string[];
  /** As they are. */
  uri: readonly string[];
}

/** 2.5.29.17 */
const SUBJECT_ALT_NAME = "551d11";
/** `dNSName [2]` and `uniformResourceIdentifier [6]` of GeneralName. */
const DNS_NAME = 0x82;
const URI = 0x86;

/**
 * The names in a certificate; none when it has no such extension.
 *
 * @param der the whole certificate
 * @throws {TypeError} when it is not DER of a certificate
 */
export function subjectAltNames(der: Uint8Array): SubjectAltNames {
  const names = { dns: [] as string[], uri: [] as string[] };
  for (const { tag, bytes } of certificateExtension(der, SUBJECT_ALT_NAME) ?? []) {
    if (tag === DNS_NAME) names.dns.push(text(bytes).toLowerCase());
    else if (tag === URI) names.uri.push(text(bytes));
  }
  return names;
}

/** IA5String: a character above 127 is in no name that could be meant. */
function text(bytes: Uint8Array): string {
  let out = "";
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}
