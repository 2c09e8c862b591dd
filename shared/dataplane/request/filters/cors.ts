/**
 * CORS (Gateway API HTTPCORSFilter; Fetch standard, "HTTP-CORS protocol"). The filter speaks for the
 * backend: what a backend says about CORS itself is replaced, for two answers to one question are
 * none to a browser.
 */
import type { CorsFilter } from "../../../snapshot/schema.ts";
import type { HeaderList } from "../types.ts";

/** What a request says about its origin. */
export interface CorsRequest {
  /** A preflight: answered here, never forwarded. */
  readonly preflight: boolean;
  /** Value of Origin; empty when there is none, or more than one. */
  readonly origin: string;
  /** Value of Access-Control-Request-Method and -Headers; empty when missing. */
  readonly method: string;
  readonly headers: string;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TOKENS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z, \t]+$/;
const ORIGIN = /^(https?):\/\/([-._0-9a-z]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/;

/** Reads what matters to CORS; a preflight is an OPTIONS that announces a method. */
export function corsRequest(request: { method: string; headers: HeaderList }): CorsRequest {
  const list = request.headers;
  let origin = "";
  let origins = 0;
  let method = "";
  let headers = "";
  for (let i = 0; i < list.length; i += 2) {
    switch (list[i]) {
      case "origin":
        origins++;
        origin = list[i + 1]!;
        break;
      case "access-control-request-method":
        method = list[i + 1]!;
        break;
      case "access-control-request-headers":
        headers = headers === "" ? list[i + 1]! : `${headers}, ${list[i + 1]}`;
        break;
    }
  }
  const preflight = request.method === "OPTIONS" && origins > 0 && method !== "";
  return { preflight, origin: origins === 1 ? origin : "", method, headers };
}

/** One filter, prepared: patterns of origins taken apart. */
export class CorsPolicy {
  readonly #filter: CorsFilter;
  readonly #any: boolean;
  readonly #origins: readonly OriginPattern[];
  /** Every origin gets the same answer. */
  readonly #same: boolean;

  constructor(filter: CorsFilter) {
    this.#filter = filter;
    this.#any = filter.allowOrigins.includes("*");
    this.#origins = filter.allowOrigins.flatMap((text) => {
      const parts = originParts(text, /^(https?):\/\/(\*|[-.0-9a-z*]+)(?::([0-9]{1,5}))?$/);
      return parts === undefined ? [] : [parts];
    });
    this.#same = this.#any && !filter.allowCredentials;
  }

  /** The headers of a preflight's answer. An origin that is not allowed is told nothing. */
  preflight(request: CorsRequest): HeaderList {
    const { allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAge } = this.#filter;
    const out: HeaderList = [];
    this.#vary(out);
    if (!this.#allows(request.origin)) return out;
    this.#allowOrigin(out, request.origin);
    // `*` is literal with credentials (Fetch, "CORS-preflight fetch"): what was asked is echoed.
    const methods = !allowMethods.includes("*")
      ? allowMethods.join(", ")
      : !allowCredentials
      ? "*"
      : TOKEN.test(request.method)
      ? request.method
      : "";
    if (methods !== "") out.push("access-control-allow-methods", methods);
    const headers = !allowHeaders.includes("*")
      ? allowHeaders.join(", ")
      : !allowCredentials
      ? "*"
      : TOKENS.test(request.headers)
      ? request.headers
      : "";
    if (headers !== "") out.push("access-control-allow-headers", headers);
    const exposed = exposeHeaders.filter((name) => name !== "*" || !allowCredentials);
    if (exposed.length > 0) out.push("access-control-expose-headers", exposed.join(", "));
    out.push("access-control-max-age", String(maxAge));
    return out;
  }

  /** Puts the headers of an actual answer into its list, in place of the backend's. */
  answer(headers: HeaderList, request: CorsRequest): void {
    for (let i = headers.length - 2; i >= 0; i -= 2) {
      if (headers[i]!.startsWith("access-control-")) headers.splice(i, 2);
    }
    const { exposeHeaders, allowCredentials } = this.#filter;
    const allowed = this.#allows(request.origin);
    // With credentials `*` would be a header of that name: the answer's own are named instead.
    const exposed = allowed && allowCredentials && exposeHeaders.includes("*")
      ? namesOf(headers)
      : exposeHeaders;
    this.#vary(headers);
    if (!allowed) return;
    this.#allowOrigin(headers, request.origin);
    if (exposed.length > 0) headers.push("access-control-expose-headers", exposed.join(", "));
  }

  #allows(origin: string): boolean {
    if (origin === "") return false;
    // `null` is what a browser sends for an origin that it does not name.
    if (this.#any) return this.#same || origin === "null" || ORIGIN.test(origin.toLowerCase());
    const asked = originParts(origin.toLowerCase(), ORIGIN);
    return asked !== undefined && this.#origins.some((pattern) => covers(pattern, asked));
  }

  #allowOrigin(out: HeaderList, origin: string): void {
    out.push("access-control-allow-origin", this.#same ? "*" : origin);
    if (this.#filter.allowCredentials) out.push("access-control-allow-credentials", "true");
  }

  /** RFC 9110 §12.5.5: a cache must not give one origin's answer to another. */
  #vary(headers: HeaderList): void {
    if (this.#same) return;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== "vary") continue;
      const names = headers[i + 1]!.toLowerCase().split(",").map((name) => name.trim());
      if (!names.includes("origin") && !names.includes("*")) headers[i + 1] += ", Origin";
      return;
    }
    headers.push("vary", "Origin");
  }
}

/** An origin taken apart; the port is there even when it is the scheme's own. */
interface OriginPattern {
  scheme: string;
  host: string;
  port: number;
}

function originParts(text: string, form: RegExp): OriginPattern | undefined {
  const [, scheme, host, port] = form.exec(text) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  // HTTPCORSFilter.allowOrigins: 80 is assumed for http, 443 for https.
  const own = scheme === "http" ? 80 : 443;
  return { scheme, host, port: port === undefined ? own : Number(port) };
}

/** `*` stands for any number of labels to its left, at least one; alone for every host. */
function covers(pattern: OriginPattern, origin: OriginPattern): boolean {
  if (pattern.scheme !== origin.scheme || pattern.port !== origin.port) return false;
  if (pattern.host === "*" || pattern.host === origin.host) return true;
  if (!pattern.host.startsWith("*.")) return false;
  const suffix = pattern.host.slice(1);
  return origin.host.length > suffix.length && origin.host.endsWith(suffix);
}

function namesOf(headers: HeaderList): string[] {
  const names = new Set<string>();
  for (let i = 0; i < headers.length; i += 2) names.add(headers[i]!);
  return [...names];
}
