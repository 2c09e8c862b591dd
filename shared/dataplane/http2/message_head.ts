/** From header fields to messages: what RFC 9113 §8.1 to §8.3 call malformed is refused here. */
import type { HeaderList } from "../request/types.ts";
import { trailerFields } from "../request/trailers.ts";
import { StreamError } from "./errors.ts";
import * as kind from "./header_field.ts";
import type { HeaderField } from "./header_field.ts";
import { ErrorCode } from "./protocol.ts";

/** A request as its header block says. */
export interface RequestHead {
  method: string;
  /** Empty for CONNECT without `:protocol`. */
  scheme: string;
  /** `:authority`, else Host, else empty. */
  authority: string;
  /** Path and query, or `*`; empty for CONNECT without `:protocol`. */
  path: string;
  /** Of extended CONNECT (RFC 8441); empty otherwise. */
  protocol: string;
  /** Without pseudo-headers and Host; the parts of a cookie put together. */
  headers: HeaderList;
  /** -1 = not said. */
  contentLength: number;
  expectContinue: boolean;
}

/** The final or an interim response as its header block says. */
export interface ResponseHead {
  status: number;
  headers: HeaderList;
  contentLength: number;
}

/**
 * @param fields a whole block
 * @param connectProtocol whether extended CONNECT was offered
 * @throws StreamError `PROTOCOL_ERROR` for a malformed request
 */
export function requestHead(
  fields: readonly HeaderField[],
  connectProtocol: boolean,
): RequestHead {
  const pseudo: (string | undefined)[] = [];
  const rest = new Regular();
  let at = 0;
  for (; at < fields.length; at++) {
    const field = fields[at]!;
    if (field.kind < kind.METHOD || field.kind > kind.PROTOCOL) break;
    if (field.kind === kind.STATUS) throw malformed(":status in a request");
    if (!field.valid || pseudo[field.kind] !== undefined) throw malformed(field.name);
    pseudo[field.kind] = field.value;
  }
  for (; at < fields.length; at++) rest.add(fields[at]!);
  const method = pseudo[kind.METHOD];
  const scheme = pseudo[kind.SCHEME];
  const path = pseudo[kind.PATH];
  const authority = pseudo[kind.AUTHORITY];
  const protocol = pseudo[kind.PROTOCOL];
  if (method === undefined || method === "" || !TOKEN.test(method)) throw malformed(":method");
  if (protocol !== undefined && (!connectProtocol || method !== "CONNECT" || protocol === "")) {
    throw malformed(":protocol");
  }
  if (method === "CONNECT" && protocol === undefined) {
    if (scheme !== undefined || path !== undefined || !authority) throw malformed("CONNECT");
  } else if (!scheme || !path) throw malformed("request without :scheme or :path");
  // §8.3.1: two answers to "for whom" are how requests are smuggled past a proxy's rules.
  if (
    authority !== undefined && rest.host !== undefined &&
    authority.toLowerCase() !== rest.host.toLowerCase()
  ) throw malformed(":authority and Host");
  return {
    method,
    scheme: scheme ?? "",
    authority: authority ?? rest.host ?? "",
    path: path ?? "",
    protocol: protocol ?? "",
    headers: rest.list(),
    contentLength: rest.contentLength,
    expectContinue: rest.expectContinue,
  };
}

/** @throws StreamError `PROTOCOL_ERROR` for a malformed response */
export function responseHead(fields: readonly HeaderField[]): ResponseHead {
  const first = fields[0];
  if (first?.kind !== kind.STATUS || !/^[1-9]\d\d$/.test(first.value)) throw malformed(":status");
  const rest = new Regular();
  for (let i = 1; i < fields.length; i++) rest.add(fields[i]!);
  const headers = rest.list();
  return { status: Number(first.value), headers, contentLength: rest.contentLength };
}

/**
 * The trailers that may be passed on (RFC 9110 §6.5).
 *
 * @throws StreamError `PROTOCOL_ERROR` when they are malformed
 */
export function trailerList(fields: readonly HeaderField[]): HeaderList {
  const rest = new Regular();
  for (const field of fields) rest.add(field);
  return trailerFields(rest.list());
}

const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;

/** Fields after the pseudo-headers. */
class Regular {
  host: string | undefined;
  contentLength = -1;
  expectContinue = false;
  readonly #headers: HeaderList = [];
  #cookie: string | undefined;

  add(field: HeaderField): void {
    if (!field.valid) throw malformed(`field ${JSON.stringify(field.name)}`);
    if (field.kind === kind.REGULAR) {
      this.#headers.push(field.name, field.value);
      return;
    }
    switch (field.kind) {
      case kind.HOST:
        if (this.host !== undefined) throw malformed("more than one Host");
        this.host = field.value;
        return;
      case kind.COOKIE:
        // §8.2.3: cut up for compression, and one header again for whoever comes next.
        this.#cookie = this.#cookie === undefined ? field.value : `${this.#cookie}; ${field.value}`;
        return;
      case kind.CONTENT_LENGTH:
        if (this.contentLength !== -1 || !/^\d{1,15}$/.test(field.value)) {
          throw malformed("content-length");
        }
        this.contentLength = Number(field.value);
        break;
      case kind.TE:
        if (field.value.toLowerCase() !== "trailers") throw malformed("te");
        break;
      case kind.EXPECT:
        this.expectContinue = field.value.toLowerCase() === "100-continue";
        break;
      default:
        throw malformed(`field ${JSON.stringify(field.name)}`);
    }
    this.#headers.push(field.name, field.value);
  }

  list(): HeaderList {
    if (this.#cookie !== undefined) this.#headers.push("cookie", this.#cookie);
    return this.#headers;
  }
}

function malformed(what: string): StreamError {
  return new StreamError(ErrorCode.PROTOCOL_ERROR, `malformed: ${what}`);
}
