/** SHA-256 in the forms that the protocol writes. */
import { createHash } from "node:crypto";

/** SHA-256 over the concatenation of `parts`. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** `sha256:` + lower-case hex of a hash. */
export function digestText(hash: Uint8Array): string {
  return "sha256:" + hex(hash);
}

/** True for `sha256:` followed by 64 lower-case hex digits. */
export function isDigestText(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}
