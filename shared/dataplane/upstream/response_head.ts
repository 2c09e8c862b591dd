/** Parses the head of an HTTP/1.x response out of a byte buffer (RFC 9112 §4, §5). */
import { Buffer } from "node:buffer";
import type { HeaderList } from "../request/types.ts";
import { UpstreamError } from "./errors.ts";

const CR = 13;
const LF = 10;

/** A parsed head. Hop-by-hop headers are gone; what they said is in the other members. */
export interface ResponseHead {
  status: number;
  /** Names lower-case; without hop-by-hop headers and transfer-encoding. */
  headers: HeaderList;
  /** Value of content-length, or -1. */
  contentLength: number;
  chunked: boolean;
  /** Value of the Upgrade header, or empty. */
  upgrade: string;
  /** May the connection carry another exchange, as far as the head says. */
  keepAlive: boolean;
}

/**
 * Looks for the end of a head, and refuses control bytes on the way: a bare CR, LF or NUL would
 * mean something else to the next reader (RFC 9112 §2.2).
 *
 * @param from where to look: the start of the head, or 3 before the end of what was looked at
 * @param end end of the bytes held
 * @returns the index after the empty line, or -1 when it is not there yet
 * @throws UpstreamError `protocol`
 */
export function findHeadEnd(buffer: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    const byte = buffer[i]!;
    if (byte >= 32 || byte === 9) continue;
    if (byte !== CR) {
      if (byte === LF && i > 0 && buffer[i - 1] === CR) continue;
      throw bad("byte");
    }
    if (i + 1 >= end) return -1;
    if (buffer[i + 1] !== LF) throw bad("line end");
    if (i + 3 < end && buffer[i + 2] === CR && buffer[i + 3] === LF) return i + 4;
    i++;
  }
  return -1;
}

/** Decodes bytes to a string of the same length (ISO 8859-1): every octet survives a round trip. */
export function decodeLatin1(buffer: Uint8Array, from: number, end: number): string {
  return Buffer.from(buffer.buffer, buffer.byteOffset + from, end - from).toString("latin1");
}

/**
 * Parses a whole head.
 *
 * @param text the head from the status line to the empty line, both included
 * @param maxHeaders bound on the number of header lines
 * @throws UpstreamError `protocol` when the bytes are not a head, or its framing is ambiguous;
 *   `head_too_large` beyond `maxHeaders`
 */
export function parseResponseHead(text: string, maxHeaders: number): ResponseHead {
  // "HTTP/1.x SSS reason"
  if (!text.startsWith("HTTP/1.") || text.charCodeAt(8) !== 32) throw bad("status line");
  const minor = text.charCodeAt(7) - 48;
  if (minor !== 0 && minor !== 1) throw bad("HTTP version");
  const status = (text.charCodeAt(9) - 48) * 100 + (text.charCodeAt(10) - 48) * 10 +
    (text.charCodeAt(11) - 48);
  const after = text.charCodeAt(12);
  if (!(status >= 100 && status <= 999) || (after !== 32 && after !== CR)) throw bad("status code");

  const headers: HeaderList = [];
  const head: ResponseHead = {
    status,
    headers,
    contentLength: -1,
    chunked: false,
    upgrade: "",
    keepAlive: minor === 1,
  };
  let nominated = "";
  let encoded = false;
  const last = text.length - 2;
  let at = text.indexOf("\r\n") + 2;
  for (let lines = 0; at < last; lines++) {
    if (lines >= maxHeaders) throw new UpstreamError("head_too_large", "too many header lines");
    let end = text.indexOf("\r\n", at);
    const next = end + 2;
    const colon = text.indexOf(":", at);
    if (colon <= at || colon > end) throw bad("header line");
    let from = colon + 1;
    while (from < end && isBlank(text.charCodeAt(from))) from++;
    while (end > from && isBlank(text.charCodeAt(end - 1))) end--;
    const name = text.slice(at, colon).toLowerCase();
    // A blank in or around a name, or a folded line, reads differently elsewhere (RFC 9112 §5.1).
    if (name.includes(" ") || name.includes("\t")) throw bad("header name");
    const value = text.slice(from, end);
    at = next;
    switch (name) {
      case "content-length": {
        const length = parseLength(value);
        if (head.contentLength !== -1 && head.contentLength !== length) {
          throw bad("content-length: two values");
        }
        if (head.contentLength === -1) headers.push(name, value);
        head.contentLength = length;
        break;
      }
      case "transfer-encoding":
        if (encoded || value.toLowerCase() !== "chunked") throw bad("transfer-encoding");
        encoded = head.chunked = true;
        break;
      case "connection":
      case "proxy-connection":
        nominated = nominated === "" ? value.toLowerCase() : `${nominated},${value.toLowerCase()}`;
        break;
      case "keep-alive":
      case "te":
      case "trailer":
        break;
      case "upgrade":
        head.upgrade = head.upgrade === "" ? value : `${head.upgrade},${value}`;
        break;
      default:
        headers.push(name, value);
    }
  }
  // RFC 9112 §6.1: both is a sign of smuggling; as a gateway we need not guess.
  if (head.chunked && head.contentLength !== -1) throw bad("content-length with transfer-encoding");
  if (nominated !== "" && nominated !== "keep-alive") applyConnection(head, nominated);
  else if (nominated === "keep-alive") head.keepAlive = true;
  return head;
}

function applyConnection(head: ResponseHead, nominated: string): void {
  const names = nominated.split(",").map((name) => name.trim());
  if (names.includes("close")) head.keepAlive = false;
  else if (names.includes("keep-alive")) head.keepAlive = true;
  for (let i = head.headers.length - 2; i >= 0; i -= 2) {
    const name = head.headers[i]!;
    // Framing stays ours to describe: nominating it must not remove it.
    if (name !== "content-length" && names.includes(name)) head.headers.splice(i, 2);
  }
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function parseLength(value: string): number {
  const size = value.length;
  if (size === 0 || size > 15) throw bad("content-length");
  let length = 0;
  for (let i = 0; i < size; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) throw bad("content-length");
    length = length * 10 + digit;
  }
  return length;
}

function bad(what: string): UpstreamError {
  return new UpstreamError("protocol", `response head: bad ${what}`);
}
