/**
 * Parses request heads (RFC 9112 §2–3, §5–6), strictly: what another implementation could read
 * differently is refused, because two readings of one message are how requests are smuggled.
 */
import type { HeaderList } from "../request/types.ts";
import { offeredProtocols } from "./offered_protocols.ts";

/** A request head that was understood. */
export interface RequestHead {
  method: string;
  /** Raw request target. */
  target: string;
  httpVersion: "1.0" | "1.1";
  /** The Host header's value. */
  host: string;
  /** Names lower-case, order and repeats kept; without `host`. */
  headers: HeaderList;
  /** Body length; 0 without a body, -1 when chunked. */
  contentLength: number;
  /** Whether the client wants the connection kept. */
  keepAlive: boolean;
  expectContinue: boolean;
  /** Protocols that the client would switch to; empty when it would not. */
  upgrade: string;
}

/** A head that is refused: the status to answer before the connection is closed. */
export class HeadError extends Error {
  override readonly name = "HeadError";
  constructor(readonly status: 400 | 405 | 414 | 417 | 431 | 501 | 505, problem: string) {
    super(problem);
  }
}

export interface HeadLimits {
  maxHeaders: number;
  maxTargetBytes: number;
}

const CR = 13;
const LF = 10;
const TAB = 9;
const DEL = 127;

/**
 * Finds the end of a head as its bytes arrive, refusing control characters on the way. Remembers
 * where it was, so that a head that trickles in is looked at once.
 */
export class HeadScanner {
  #at: number;
  #lineStart: number;
  readonly #from: number;

  /** @param from where the head starts; positions stay relative to the same start */
  constructor(from: number) {
    this.#from = this.#at = this.#lineStart = from;
  }

  /**
   * @returns the index after the empty line, or -1 when it has not arrived
   * @throws HeadError 400 for control characters, a bare CR or a bare LF
   */
  scan(bytes: Uint8Array, end: number): number {
    let i = this.#at;
    for (; i < end; i++) {
      const byte = bytes[i] as number;
      if ((byte >= 32 && byte !== DEL) || byte === TAB) continue;
      if (byte !== CR) throw new HeadError(400, "control character in the head");
      if (i + 1 === end) break;
      if (bytes[i + 1] !== LF) throw new HeadError(400, "CR without LF");
      if (i === this.#lineStart && i !== this.#from) return i + 2;
      i++;
      this.#lineStart = i + 1;
    }
    this.#at = i;
    return -1;
  }
}

/** RFC 9110 §5.6.2: `1` for every octet that a token may hold. */
const TOKEN = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789") TOKEN[char.charCodeAt(0)] = 1;
for (let code = 65; code <= 90; code++) TOKEN[code] = TOKEN[code + 32] = 1;

function isToken(text: string, from: number, end: number): boolean {
  if (from === end) return false;
  for (let i = from; i < end; i++) if (TOKEN[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/**
 * Parses a whole head.
 *
 * @param text the head as ISO 8859-1, request line to empty line, both included
 * @throws HeadError with the status to answer
 */
export function parseRequestHead(text: string, limits: HeadLimits): RequestHead {
  const lineEnd = text.indexOf("\r\n");
  const methodEnd = text.indexOf(" ");
  const targetEnd = text.lastIndexOf(" ", lineEnd - 1);
  if (methodEnd === -1 || methodEnd >= lineEnd || targetEnd <= methodEnd) {
    throw new HeadError(400, "malformed request line");
  }
  if (!isToken(text, 0, methodEnd)) throw new HeadError(400, "malformed method");
  const target = text.slice(methodEnd + 1, targetEnd);
  if (target.length > limits.maxTargetBytes) throw new HeadError(414, "request target too long");
  if (target === "" || target.includes(" ") || target.includes("\t")) {
    throw new HeadError(400, "malformed request target");
  }
  const version = text.slice(targetEnd + 1, lineEnd);
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") {
    throw new HeadError(/^HTTP\/\d\.\d$/.test(version) ? 505 : 400, "HTTP version not supported");
  }
  const fields = parseFields(text, lineEnd + 2, limits.maxHeaders);
  return describe(text.slice(0, methodEnd), target, version, fields);
}

interface Fields {
  headers: HeaderList;
  host: string | undefined;
  contentLength: string | undefined;
  transferEncoding: string | undefined;
  connection: string;
  expect: string | undefined;
  upgrade: string;
}

function parseFields(text: string, from: number, maxHeaders: number): Fields {
  const fields: Fields = {
    headers: [],
    host: undefined,
    contentLength: undefined,
    transferEncoding: undefined,
    connection: "",
    expect: undefined,
    upgrade: "",
  };
  let count = 0;
  for (let at = from;;) {
    const end = text.indexOf("\r\n", at);
    if (end === at || end === -1) return fields;
    if (++count > maxHeaders) throw new HeadError(431, "too many header lines");
    const colon = text.indexOf(":", at);
    // A token holds neither blanks nor line ends: obs-fold and `name :` fail here as well.
    if (colon === -1 || colon > end || !isToken(text, at, colon)) {
      throw new HeadError(400, "malformed header line");
    }
    const name = text.slice(at, colon).toLowerCase();
    const value = trimBlanks(text, colon + 1, end);
    addField(fields, name, value);
    at = end + 2;
  }
}

function trimBlanks(text: string, from: number, end: number): string {
  let first = from;
  let last = end;
  while (first < last && isBlank(text.charCodeAt(first))) first++;
  while (last > first && isBlank(text.charCodeAt(last - 1))) last--;
  return text.slice(first, last);
}

function isBlank(code: number): boolean {
  return code === 32 || code === TAB;
}

function addField(fields: Fields, name: string, value: string): void {
  switch (name) {
    case "host":
      if (fields.host !== undefined) throw new HeadError(400, "more than one Host");
      fields.host = value;
      return;
    case "content-length":
      if (fields.contentLength !== undefined) {
        throw new HeadError(400, "more than one Content-Length");
      }
      fields.contentLength = value;
      break;
    case "transfer-encoding":
      if (fields.transferEncoding !== undefined) {
        throw new HeadError(400, "more than one Transfer-Encoding");
      }
      fields.transferEncoding = value;
      break;
    case "connection":
      fields.connection += `,${value.toLowerCase()}`;
      break;
    case "upgrade":
      fields.upgrade += fields.upgrade === "" ? value : `, ${value}`;
      break;
    case "expect":
      fields.expect = value.toLowerCase();
      break;
  }
  fields.headers.push(name, value);
}

const NO_OPTIONS: readonly string[] = [];

function describe(
  method: string,
  target: string,
  version: "HTTP/1.1" | "HTTP/1.0",
  fields: Fields,
): RequestHead {
  const httpVersion = version === "HTTP/1.1" ? "1.1" : "1.0";
  const options = fields.connection === ""
    ? NO_OPTIONS
    : fields.connection.split(",").map((option) => option.trim());
  const keepAlive = httpVersion === "1.1"
    ? !options.includes("close")
    : options.includes("keep-alive");
  if (fields.expect !== undefined && fields.expect !== "100-continue") {
    throw new HeadError(417, "unknown expectation");
  }
  const { host, origin } = hostAndTarget(method, target, fields.host, httpVersion);
  const contentLength = bodyLength(fields, httpVersion);
  return {
    method,
    target: origin,
    httpVersion,
    host,
    headers: fields.headers,
    contentLength,
    keepAlive,
    expectContinue: fields.expect !== undefined && httpVersion === "1.1",
    // RFC 9110 §7.8: without the connection option it is not meant for us, and HTTP/1.0 has none. A
    // body would have to end before the switch: such a request is served without it, as is allowed.
    upgrade: fields.upgrade !== "" && httpVersion === "1.1" && contentLength === 0 &&
        options.includes("upgrade")
      ? offeredProtocols(fields.upgrade)
      : "",
  };
}

/** RFC 9112 §6.3: exactly one reading of where the body ends, or none. */
function bodyLength(fields: Fields, httpVersion: "1.0" | "1.1"): number {
  const { contentLength, transferEncoding } = fields;
  if (transferEncoding !== undefined) {
    if (contentLength !== undefined) {
      throw new HeadError(400, "both Content-Length and Transfer-Encoding");
    }
    if (httpVersion === "1.0") throw new HeadError(400, "Transfer-Encoding in HTTP/1.0");
    if (transferEncoding.toLowerCase() !== "chunked") {
      throw new HeadError(501, "transfer coding not supported");
    }
    return -1;
  }
  if (contentLength === undefined) return 0;
  if (!/^\d{1,15}$/.test(contentLength)) throw new HeadError(400, "malformed Content-Length");
  return Number(contentLength);
}

/** RFC 9112 §3.2: origin form and `*`; the absolute form's authority overrides Host. */
function hostAndTarget(
  method: string,
  target: string,
  host: string | undefined,
  httpVersion: "1.0" | "1.1",
): { host: string; origin: string } {
  if (method === "CONNECT") throw new HeadError(405, "CONNECT is not supported");
  if (host === undefined && httpVersion === "1.1") throw new HeadError(400, "no Host");
  if (target.startsWith("/") || (target === "*" && method === "OPTIONS")) {
    return { host: host ?? "", origin: target };
  }
  const absolute = /^https?:\/\/([^/?#]+)([^#]*)$/i.exec(target);
  if (absolute === null) throw new HeadError(400, "malformed request target");
  const rest = absolute[2] as string;
  return { host: absolute[1] as string, origin: rest.startsWith("/") ? rest : `/${rest}` };
}
