/** Headers that speak about one connection only and are never forwarded (RFC 9110 §7.6.1). */

/**
 * Always removed. `proxy-authorization` and `proxy-authenticate` are between the client and this
 * hop; `expect` was answered by the engine; framing is written anew for the next hop.
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "expect",
  "host",
  "content-length",
]);

/** Names that a Connection header nominates, lower-case; empty for `close` and `keep-alive`. */
export function nominated(connection: string): string[] {
  if (connection === "keep-alive" || connection === "close") return [];
  return connection.toLowerCase().split(",").map((name) => name.trim()).filter((name) =>
    name !== "" && name !== "close" && name !== "keep-alive" && name !== "te"
  );
}

/** Does a TE header say that trailers are welcome? The one member that may go on. */
export function acceptsTrailers(te: string): boolean {
  return te.toLowerCase().split(",").some((coding) => coding.trim() === "trailers");
}
