/** What a request tells of the endpoint that it was sent to. */
import { headerValue } from "../table/match.ts";
import type { UpstreamResponse } from "./exchange.ts";
import { UpstreamError } from "./errors.ts";

/** google.rpc.Code, as `grpc-status` has it. */
const UNAVAILABLE = "14";

export type Verdict =
  /** It answered. */
  | "good"
  /** No connection, or one that broke. */
  | "connection"
  /** 502, 503 or 504, of its own or because it made us say so. */
  | "gateway"
  /** Nothing: the client, the route or the proxy ended it. */
  | "none";

/**
 * The verdict of an answer. A call (gRPC) that comes to nothing but Unavailable is told as 200; what
 * comes after a message is an answer of the endpoint's.
 */
export function verdictOfAnswer(
  { status, headers }: Pick<UpstreamResponse, "status" | "headers">,
  { call }: { call: boolean },
): Verdict {
  if (status >= 502 && status <= 504) return "gateway";
  return call && headerValue(headers, "grpc-status") === UNAVAILABLE ? "gateway" : "good";
}

/** The verdict of whatever an exchange was rejected with. */
export function verdictOfError(error: unknown): Verdict {
  if (!(error instanceof UpstreamError)) return "none";
  switch (error.kind) {
    case "connect":
    case "connect_timeout":
    case "reset":
      // HTTP/2 refuses single streams when it is busy; that is an answer.
      return error.kind === "reset" && error.unprocessed ? "gateway" : "connection";
    case "tls_handshake":
    case "tls_identity":
    case "timeout":
    case "protocol":
    case "head_too_large":
      return "gateway";
    case "tls_incomplete":
    case "overflow":
    case "idle":
    case "request_body":
    case "aborted":
      return "none";
  }
}
