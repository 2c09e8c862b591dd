/** The string formats that a schema does not judge, or that become something else. */
import { check, type Decoder, map, string } from "./decoder.ts";

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

export const namespaceName: Decoder<string> = string({
  min: 1,
  max: 63,
  pattern: new RegExp(`^${LABEL}$`),
  what: "a namespace name",
});
/** Name of an object of its own: it becomes part of subjects and ids. */
export const ownName: Decoder<string> = string({
  min: 1,
  max: 253,
  pattern: new RegExp(`^${LABEL}(\\.${LABEL})*$`),
  what: "a DNS subdomain name (lower-case letters, digits, - and .)",
});
/** `www.example.com` or `*.example.com`. */
export const hostname: Decoder<string> = check(string(), (value, at) => {
  // The API's text forbids addresses, its schema lets them pass.
  if (!/^[0-9.]+$/.test(value)) return;
  const message = `"${value}" is an IP address; a host name is needed`;
  at.report({ severity: "warning", path: at.path, message });
});

const UNIT_MS: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of a GEP-2257 duration such as `1h30m` or `500ms`. */
export function durationMs(text: string): number {
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]{1,5})(h|ms|m|s)/g)) {
    total += Number(digits) * (UNIT_MS[unit ?? ""] ?? 0);
  }
  return total;
}

/** A GEP-2257 duration, as milliseconds. */
export const duration: Decoder<number> = map(string(), durationMs);
