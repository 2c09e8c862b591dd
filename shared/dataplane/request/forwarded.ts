/** X-Forwarded-*: what the backend learns about the client's side of the proxy. */
import type { HeaderList, InboundRequest } from "./types.ts";

/**
 * What clients may not say about themselves. With no trusted hop in front, all of these are taken
 * out; anybody could have written them.
 */
export const FORWARDED: ReadonlySet<string> = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
]);

/** Appends our own. The port is the *declared* one: the fleet's own ports mean nothing outside. */
export function appendForwarded(headers: HeaderList, request: InboundRequest): void {
  const connection = request.connection;
  headers.push(
    "x-forwarded-for",
    connection.remoteAddress,
    "x-forwarded-proto",
    connection.scheme,
    "x-forwarded-host",
    request.authority,
    "x-forwarded-port",
    portText(connection.port),
  );
}

function portText(port: number): string {
  return port === 80 ? "80" : port === 443 ? "443" : String(port);
}
