/** Calls (gRPC over HTTP/2): how their failures are told, and how long they may take. */
import { headerValue, isGrpcContent } from "../table/match.ts";
import type { FailureCause } from "./failures.ts";
import type { HeaderList, InboundRequest } from "./types.ts";

/** Codes of gRPC (google.rpc.Code). */
const CANCELLED = 1;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;
const HIGHEST = UNAUTHENTICATED;

/** Does the client speak gRPC, so that it can read a failure only as trailers? */
export function speaksGrpc({ httpVersion, headers }: InboundRequest): boolean {
  return httpVersion === "2" && isGrpcContent(headerValue(headers, "content-type"));
}

/**
 * What a call is told of a failure. Without a route, Unimplemented; where nobody can be asked,
 * Unavailable, which clients may try again; the rest by "HTTP to gRPC Status Code Mapping".
 */
export function grpcStatus(cause: FailureCause): number {
  switch (cause) {
    case "no_listener":
    case "no_route":
    case "connect_method":
      return UNIMPLEMENTED;
    case "request_timeout":
    case "upstream_timeout":
      return DEADLINE_EXCEEDED;
    case "client_closed":
      return CANCELLED;
    case "body_too_large":
    case "head_too_large":
    case "target_too_long":
      return RESOURCE_EXHAUSTED;
    case "bad_request":
    case "bad_path":
    case "bad_host":
    case "body_failed":
    case "body_timeout":
    case "internal":
      return INTERNAL;
    case "misdirected":
    case "no_backends":
    case "invalid_backend":
    case "no_endpoints":
    case "circuit_open":
    case "upstream_overflow":
    case "upstream_connect":
    case "upstream_connect_timeout":
    case "upstream_tls_handshake":
    case "upstream_tls_identity":
    case "upstream_tls_incomplete":
    case "upstream_reset":
    case "upstream_protocol":
    case "tunnel_idle":
    case "shutting_down":
      return UNAVAILABLE;
    default:
      return cause satisfies never;
  }
}

/**
 * What a call came to, by its answer: in the trailers, or in the head when there is nothing else.
 * Without a status in either, by "HTTP to gRPC Status Code Mapping".
 */
export function statusOfAnswer(
  { status, headers, trailers }: { status: number; headers: HeaderList; trailers: HeaderList },
): number {
  const text = headerValue(trailers, "grpc-status") ?? headerValue(headers, "grpc-status");
  if (text === undefined) return ofHttp(status);
  const code = /^\d{1,2}$/.test(text) ? Number(text) : UNKNOWN;
  return code <= HIGHEST ? code : UNKNOWN;
}

function ofHttp(status: number): number {
  switch (status) {
    case 400:
      return INTERNAL;
    case 401:
      return UNAUTHENTICATED;
    case 403:
      return PERMISSION_DENIED;
    case 404:
      return UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return UNAVAILABLE;
    default:
      return UNKNOWN;
  }
}

/** The head of an answer that is nothing but trailers ("Trailers-Only"). The text is plain ASCII. */
export function trailersOnly(cause: FailureCause, text: string): HeaderList {
  return [
    ...["content-type", "application/grpc"],
    ...["grpc-status", String(grpcStatus(cause))],
    ...["grpc-message", text.replaceAll("%", "%25")],
  ];
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1_000],
  ["m", 1],
  ["u", 0.001],
  ["n", 0.000_001],
]);

/** Milliseconds of a `grpc-timeout`; 0 = none, or none that can be read. */
export function grpcTimeout(headers: readonly string[]): number {
  const text = headerValue(headers, "grpc-timeout");
  const parts = text === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(text);
  if (parts === null) return 0;
  return Math.max(1, Math.ceil(Number(parts[1]) * (UNITS.get(parts[2] ?? "") ?? 0)));
}
