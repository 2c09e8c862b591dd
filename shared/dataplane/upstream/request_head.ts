/** Serialises the head of an HTTP/1.1 request (RFC 9112 §3). */
import type { HeaderList } from "../request/types.ts";

const encoder = new TextEncoder();

/** What a request head is made of. Everything here was validated where it came in. */
export interface RequestHead {
  method: string;
  /** Origin form: path and query, or `*`. */
  target: string;
  /** Value of the Host header. */
  host: string;
  /** Without host, content-length, transfer-encoding and connection. */
  headers: HeaderList;
  /** Protocols to switch to, as the client offered them (RFC 9110 §7.8). */
  upgrade?: string;
}

/** The head as text, framing headers included; `length` -1 = chunked, -2 = no body at all. */
export function requestHeadText(head: RequestHead, length: number): string {
  let text = head.method + " " + head.target + " HTTP/1.1\r\nhost: " + head.host + "\r\n";
  const headers = head.headers;
  for (let i = 0; i < headers.length; i += 2) {
    text += headers[i] + ": " + headers[i + 1] + "\r\n";
  }
  if (head.upgrade !== undefined) {
    text += "connection: upgrade\r\nupgrade: " + head.upgrade + "\r\n";
  }
  if (length >= 0) text += "content-length: " + length + "\r\n\r\n";
  else if (length === -1) text += "transfer-encoding: chunked\r\n\r\n";
  else text += "\r\n";
  return text;
}

/**
 * Writes text of octets (ISO 8859-1) into `target`.
 *
 * @returns bytes written, or -1 when it does not fit
 */
export function encodeLatin1(text: string, target: Uint8Array): number {
  if (text.length > target.length) return -1;
  // ASCII, nearly always, is the same in UTF-8 and encodes in one native call.
  const { read, written } = encoder.encodeInto(text, target);
  if (written === text.length && read === text.length) return written;
  for (let i = 0; i < text.length; i++) target[i] = text.charCodeAt(i) & 0xff;
  return text.length;
}
