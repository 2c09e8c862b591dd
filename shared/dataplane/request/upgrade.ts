/** What a backend of HTTP/1.1 is asked when a client wants to go on with another protocol. */
import type { HeaderList, InboundRequest } from "./types.ts";

/** Bytes of a WebSocket's key (RFC 6455 §4.1). */
const KEY_BYTES = 16;

/** RFC 8441 §5: an extended CONNECT is to HTTP/2 what a GET with Upgrade is to HTTP/1.1. */
export function isExtendedConnect(request: Pick<InboundRequest, "method" | "upgrade">): boolean {
  return request.method === "CONNECT" && request.upgrade !== null;
}

/** The method that routes match and the backend sees. */
export function methodOf(request: Pick<InboundRequest, "method" | "upgrade">): string {
  return isExtendedConnect(request) ? "GET" : request.method;
}

/** Adds the key that a WebSocket over HTTP/2 goes without and a backend of HTTP/1.1 asks for. */
export function addWebSocketKey(headers: HeaderList, random: () => number): void {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === "sec-websocket-key") return;
  let bytes = "";
  for (let i = 0; i < KEY_BYTES; i++) bytes += String.fromCharCode(Math.floor(random() * 256));
  headers.push("sec-websocket-key", btoa(bytes));
}

/** Takes out the answer to that key. */
export function dropWebSocketAccept(headers: HeaderList): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (headers[i] === "sec-websocket-accept") headers.splice(i, 2);
  }
}
