import { createHash } from "node:crypto";

/** RFC 4122 appendix C: the name space of host names. */
const DNS_NAMESPACE = "6ba7b8109dad11d180b400c04fd430c8";

/**
 * The uid of an object that no API server has named: UUIDv5 of its kind, namespace and name, so
 * that it is the same on every start.
 */
export function objectUid(key: string): string {
  const bytes = createHash("sha1")
    .update(DNS_NAMESPACE, "hex")
    .update(`gateway.lightapi.net/${key}`)
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
    .join("-");
}
