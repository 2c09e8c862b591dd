/** The predicates of one match, each alone, so that explain can name the first that fails. */
import { hostnameCovers } from "../../gwapi/hostname.ts";
import type { Candidate, RouteRequest } from "./types.ts";

/** A query string that is parsed when a candidate first asks, once per request. */
export class LazyQuery {
  readonly #raw: string;
  #values: Map<string, string> | undefined;

  constructor(raw: string) {
    this.#raw = raw;
  }

  /** The first value of a parameter, percent-decoded; undefined when absent. */
  get(name: string): string | undefined {
    return (this.#values ??= parseQuery(this.#raw)).get(name);
  }
}

function parseQuery(raw: string): Map<string, string> {
  const values = new Map<string, string>();
  if (raw === "") return values;
  for (const part of raw.split("&")) {
    const equals = part.indexOf("=");
    const name = decode(equals === -1 ? part : part.slice(0, equals));
    if (!values.has(name)) values.set(name, equals === -1 ? "" : decode(part.slice(equals + 1)));
  }
  return values;
}

/** Percent-decodes; text that is not valid percent-encoding stays as it is. */
function decode(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

/** The value of a header; repeated lines are joined with commas (RFC 9110 §5.3). */
export function headerValue(headers: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    value = value === undefined ? headers[i + 1] : `${value},${headers[i + 1]}`;
  }
  return value;
}

/** Where a flat list has a name, not a value that reads the same; -1 when it does not. */
export function headerIndex(headers: readonly string[], name: string): number {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return i;
  return -1;
}

/** Does a candidate's path cover a request path? */
export function pathMatches(candidate: Candidate, path: string): boolean {
  if (candidate.pathType === "exact") return path === candidate.path;
  if (candidate.path === "/") return true;
  return path.startsWith(candidate.path) &&
    (path.length === candidate.path.length || path.charCodeAt(candidate.path.length) === 47);
}

/**
 * A call is a POST of `application/grpc` (gRPC over HTTP/2, "Requests"), or of what browsers send in
 * its place.
 */
export function isCall({ method, headers }: Pick<RouteRequest, "method" | "headers">): boolean {
  if (method !== "POST") return false;
  const type = headerValue(headers, "content-type");
  return isGrpcContent(type) || isGrpcWebContent(type);
}

/** `application/grpc`, with or without `+proto` and the like. */
export function isGrpcContent(type: string | undefined): boolean {
  return type !== undefined && type.startsWith("application/grpc") && typeEnds(type, 16);
}

/** `application/grpc-web` or `application/grpc-web-text`, with or without `+proto` and the like. */
export function isGrpcWebContent(type: string | undefined): boolean {
  if (type === undefined || !type.startsWith("application/grpc-web")) return false;
  return typeEnds(type, 20) || (type.startsWith("-text", 20) && typeEnds(type, 25));
}

/** Is there its end, `+`, `;` or a space? */
function typeEnds(type: string, at: number): boolean {
  const next = type.charCodeAt(at);
  return Number.isNaN(next) || next === 43 || next === 59 || next === 32;
}

function callMatches({ rpc }: Candidate, request: RouteRequest): boolean {
  if (!isCall(request)) return false;
  return rpc === "" || request.path.slice(request.path.lastIndexOf("/") + 1) === rpc;
}

/** Everything after host and path: method, headers, query. */
export function matchesRest(
  candidate: Candidate,
  request: RouteRequest,
  query: LazyQuery,
): boolean {
  if (candidate.method !== "" && candidate.method !== request.method) return false;
  if (candidate.calls && !callMatches(candidate, request)) return false;
  const { headers, query: wanted } = candidate;
  for (let i = 0; i < headers.length; i += 2) {
    if (headerValue(request.headers, headers[i] as string) !== headers[i + 1]) return false;
  }
  for (let i = 0; i < wanted.length; i += 2) {
    if (query.get(wanted[i] as string) !== wanted[i + 1]) return false;
  }
  return true;
}

/** Why a candidate does not match: the first predicate that fails, in the order of evaluation. */
export interface Mismatch {
  predicate: "hostname" | "path" | "method" | "call" | "header" | "query";
  /** Header or parameter name, else empty. */
  name: string;
  wanted: string;
  /** What the request has; undefined = absent. */
  got: string | undefined;
}

/** The first predicate of a candidate that fails, or undefined when all hold. */
export function firstMismatch(
  candidate: Candidate,
  request: RouteRequest,
  query: LazyQuery,
): Mismatch | undefined {
  if (!hostnameCovers(candidate.hostname, request.host)) {
    return { predicate: "hostname", name: "", wanted: candidate.hostname, got: request.host };
  }
  if (!pathMatches(candidate, request.path)) {
    const wanted = `${candidate.pathType} ${candidate.path}`;
    return { predicate: "path", name: "", wanted, got: request.path };
  }
  if (candidate.method !== "" && candidate.method !== request.method) {
    return { predicate: "method", name: "", wanted: candidate.method, got: request.method };
  }
  if (candidate.calls && !callMatches(candidate, request)) {
    const wanted = candidate.rpc === "" ? "application/grpc" : candidate.rpc;
    const got = headerValue(request.headers, "content-type");
    return { predicate: "call", name: "", wanted, got };
  }
  for (let i = 0; i < candidate.headers.length; i += 2) {
    const name = candidate.headers[i] as string;
    const wanted = candidate.headers[i + 1] as string;
    const got = headerValue(request.headers, name);
    if (got !== wanted) return { predicate: "header", name, wanted, got };
  }
  for (let i = 0; i < candidate.query.length; i += 2) {
    const name = candidate.query[i] as string;
    const wanted = candidate.query[i + 1] as string;
    const got = query.get(name);
    if (got !== wanted) return { predicate: "query", name, wanted, got };
  }
  return undefined;
}
