/** Trace context (W3C Trace Context 1) and correlation ids: passed on, made when absent. */

/** Is it a version 00 traceparent with non-zero ids? Anything else starts a new trace. */
export function isTraceparent(value: string): boolean {
  if (value.length !== 55 || !value.startsWith("00-")) return false;
  if (value.charCodeAt(35) !== 45 || value.charCodeAt(52) !== 45) return false;
  return isId(value, 3, 35) && isId(value, 36, 52) && isHex(value, 53, 55);
}

function isHex(value: string, from: number, end: number): boolean {
  for (let i = from; i < end; i++) {
    const code = value.charCodeAt(i);
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false;
  }
  return true;
}

function isId(value: string, from: number, end: number): boolean {
  if (!isHex(value, from, end)) return false;
  for (let i = from; i < end; i++) if (value.charCodeAt(i) !== 48) return true;
  return false;
}

/**
 * Random lower-case hex.
 *
 * @param words number of 32-bit words; eight digits each
 * @param random in [0, 1); ids need to be unlikely to collide, not unguessable
 */
export function randomHex(words: number, random: () => number): string {
  let text = "";
  for (let i = 0; i < words; i++) {
    const word = random() * 0x100000000;
    // The lowest bit set keeps ids from being all zero, which W3C calls invalid.
    text += HEX[(word >>> 24) & 255]! + HEX[(word >>> 16) & 255]! + HEX[(word >>> 8) & 255]! +
      HEX[(word & 255) | 1]!;
  }
  return text;
}

const HEX: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);

/**
 * A new traceparent. Marked as sampled: a parent that says "not sampled" would switch tracing off
 * in every service behind the proxy.
 */
export function newTraceparent(traceId: string, random: () => number): string {
  return `00-${traceId}-${randomHex(2, random)}-01`;
}
