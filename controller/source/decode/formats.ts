/** The string formats of the Gateway API, with the patterns and lengths of its v1.7.0 CRDs. */
import { check, type Decoder, map, string } from "./decoder.ts";

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = new RegExp(`^${LABEL}(\\.${LABEL})*$`);

export const group: Decoder<string> = string({
  max: 253,
  pattern: new RegExp(`^$|^${LABEL}(\\.${LABEL})*$`),
  what: "an API group",
});
export const kind: Decoder<string> = string({
  min: 1,
  max: 63,
  pattern: /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/,
  what: "a kind",
});
export const namespaceName: Decoder<string> = string({
  min: 1,
  max: 63,
  pattern: new RegExp(`^${LABEL}$`),
  what: "a namespace name",
});
/** Name of a referenced object. */
export const objectName: Decoder<string> = string({ min: 1, max: 253 });
/** Name of an object of its own: it becomes part of subjects and ids. */
export const ownName: Decoder<string> = string({
  min: 1,
  max: 253,
  pattern: SUBDOMAIN,
  what: "a DNS subdomain name (lower-case letters, digits, - and .)",
});
export const sectionName: Decoder<string> = string({
  min: 1,
  max: 253,
  pattern: SUBDOMAIN,
  what: "a section name (lower-case letters, digits, - and .)",
});
/** `www.example.com` or `*.example.com`. */
export const hostname: Decoder<string> = check(
  string({
    min: 1,
    max: 253,
    pattern: new RegExp(`^(\\*\\.)?${LABEL}(\\.${LABEL})*$`),
    what: "a lower-case host name, with at most a first label *",
  }),
  (value, at) => {
    // The API's text forbids addresses, its schema lets them pass.
    if (!/^[0-9.]+$/.test(value)) return;
    const message = `"${value}" is an IP address; a host name is needed`;
    at.report({ severity: "warning", path: at.path, message });
  },
);
export const preciseHostname: Decoder<string> = string({
  min: 1,
  max: 253,
  pattern: SUBDOMAIN,
  what: "a lower-case host name without *",
});
export const headerName: Decoder<string> = string({
  min: 1,
  max: 256,
  pattern: /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/,
  what: "an HTTP header name",
});
export const controllerName: Decoder<string> = string({
  min: 1,
  max: 253,
  pattern: new RegExp(`^${LABEL}(\\.${LABEL})*\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$`),
  what: "a domain-prefixed path such as example.com/controller",
});
export const protocol: Decoder<string> = string({
  min: 1,
  max: 255,
  pattern: new RegExp(
    `^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|^${LABEL}(\\.${LABEL})*\\/[A-Za-z0-9]+$`,
  ),
  what: "a protocol such as HTTP or HTTPS",
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
export const duration: Decoder<number> = map(
  string({
    pattern: /^([0-9]{1,5}(h|m|s|ms)){1,4}$/,
    what: "a duration such as 500ms, 10s or 1h30m",
  }),
  durationMs,
);
