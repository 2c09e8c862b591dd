/** Every way a request can fail, and what the client is told: one table, one line per cause. */
import { UpstreamError } from "../upstream/errors.ts";
import { RequestBodyError } from "./body.ts";

interface Answer {
  status: number;
  /** The whole body of the answer; says what to do, never what is inside. */
  text: string;
  /** The connection cannot be trusted to be in step afterwards. */
  close?: true;
}

/** Cause (`reason` of the access log) → answer. */
export const FAILURES = {
  bad_request: { status: 400, text: "bad request" },
  bad_path: { status: 400, text: "bad path: no NUL, backslash, fragment or dot segments" },
  bad_host: { status: 400, text: "bad or missing host" },
  connect_method: { status: 405, text: "CONNECT is not served here" },
  target_too_long: { status: 414, text: "request target too long" },
  head_too_large: { status: 431, text: "request headers too large", close: true },
  body_too_large: { status: 413, text: "request body too large", close: true },
  body_timeout: { status: 408, text: "request body came too slowly", close: true },
  body_failed: { status: 400, text: "request body broke off", close: true },
  // RFC 9110 §15.5.20: another connection may serve it, so the client may try again.
  misdirected: { status: 421, text: "this connection is for another host: open a new one" },
  no_listener: { status: 404, text: "no listener serves this host" },
  no_route: { status: 404, text: "no route matches" },
  no_backends: { status: 500, text: "the route has no backends" },
  invalid_backend: { status: 500, text: "the route's backend reference is not valid" },
  no_endpoints: { status: 503, text: "no endpoint is ready" },
  circuit_open: { status: 503, text: "too many requests to the backend" },
  upstream_overflow: { status: 503, text: "too many requests to the endpoint" },
  upstream_connect: { status: 503, text: "the endpoint refused the connection" },
  upstream_connect_timeout: { status: 504, text: "no connection to the endpoint in time" },
  upstream_tls_handshake: { status: 502, text: "no secure connection to the endpoint" },
  upstream_tls_identity: { status: 502, text: "the endpoint is not who it should be" },
  upstream_tls_incomplete: { status: 503, text: "what secures the connection is not here yet" },
  upstream_reset: { status: 502, text: "the endpoint closed the connection" },
  upstream_protocol: { status: 502, text: "the endpoint's answer is not valid HTTP" },
  upstream_timeout: { status: 504, text: "the endpoint did not answer in time" },
  tunnel_idle: { status: 504, text: "no byte in either direction for too long" },
  request_timeout: { status: 504, text: "the request was not answered in time" },
  // Nobody reads this one; the status is for the log and the metrics.
  client_closed: { status: 499, text: "client closed", close: true },
  shutting_down: { status: 503, text: "the proxy is shutting down", close: true },
  internal: { status: 500, text: "internal error" },
} as const satisfies Record<string, Answer>;

/** Why a request failed. */
export type FailureCause = keyof typeof FAILURES;

/** A request that ends here; thrown inside the core, never out of it. */
export class RequestFailure extends Error {
  override readonly name = "RequestFailure";
  readonly reason: FailureCause;
  constructor(reason: FailureCause, options?: { cause?: unknown }) {
    super(FAILURES[reason].text, options);
    this.reason = reason;
  }
}

/** The cause behind anything that was thrown while a request was handled. */
export function failureCause(error: unknown): FailureCause {
  if (error instanceof RequestFailure) return error.reason;
  if (error instanceof RequestBodyError) return bodyCause(error);
  if (error instanceof UpstreamError) return upstreamCause(error);
  return "internal";
}

function bodyCause(error: RequestBodyError): FailureCause {
  switch (error.kind) {
    case "timeout":
      return "body_timeout";
    case "too_large":
      return "body_too_large";
    case "aborted":
      return "client_closed";
    case "framing":
      return "body_failed";
  }
}

function upstreamCause(error: UpstreamError): FailureCause {
  switch (error.kind) {
    case "connect":
      return "upstream_connect";
    case "connect_timeout":
      return "upstream_connect_timeout";
    case "overflow":
      return "upstream_overflow";
    case "tls_handshake":
      return "upstream_tls_handshake";
    case "tls_identity":
      return "upstream_tls_identity";
    case "tls_incomplete":
      return "upstream_tls_incomplete";
    case "reset":
      return "upstream_reset";
    case "protocol":
    case "head_too_large":
      return "upstream_protocol";
    case "timeout":
      return "upstream_timeout";
    case "idle":
      return "tunnel_idle";
    case "request_body":
      return error.cause instanceof RequestBodyError ? bodyCause(error.cause) : "body_failed";
    case "aborted":
      return error.cause instanceof RequestFailure ? error.cause.reason : "shutting_down";
  }
}
