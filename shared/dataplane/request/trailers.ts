/** Trailers: what may be said after a body (RFC 9110 §6.5). */
import type { HeaderList } from "./types.ts";

/**
 * Fields that only make sense before the body: framing, routing, authentication, modifiers of the
 * request, and what says how to read the body (§6.5.1). A recipient must not act on them, so the
 * next one does not get them.
 */
const NOT_AFTER_A_BODY: ReadonlySet<string> = new Set([
  "age",
  "authorization",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "max-forwards",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "range",
  "set-cookie",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "www-authenticate",
]);

/** The fields of a list that may be passed on as trailers. */
export function trailerFields(list: HeaderList): HeaderList {
  for (let i = 0; i < list.length; i += 2) {
    if (!NOT_AFTER_A_BODY.has(list[i]!)) continue;
    const kept: HeaderList = [];
    for (let k = 0; k < list.length; k += 2) {
      if (!NOT_AFTER_A_BODY.has(list[k]!)) kept.push(list[k]!, list[k + 1]!);
    }
    return kept;
  }
  return list;
}
