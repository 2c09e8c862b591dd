/** Everything that can go wrong between the proxy and one endpoint, as a closed list. */
export type UpstreamErrorKind =
  /** TCP connect refused, unreachable or name not resolved. */
  | "connect"
  /** No connection within `connectTimeout`. */
  | "connect_timeout"
  /** TLS was not agreed on: not spoken there, no common version, no HTTP/2. */
  | "tls_handshake"
  /** The endpoint could not prove to be the backend that its BackendTLSPolicy describes. */
  | "tls_identity"
  /** What secures the connection (authorities, own certificate) is not here. */
  | "tls_incomplete"
  /** The pool is full and so is its queue, or the wait in the queue was too long. */
  | "overflow"
  /** The endpoint closed or reset the connection before its answer was whole. */
  | "reset"
  /** The endpoint's answer is not HTTP/1.1 as RFC 9112 frames it. */
  | "protocol"
  /** The endpoint's head is longer than the bound. */
  | "head_too_large"
  /** The endpoint was silent for too long, or the route's timeout for one attempt is over. */
  | "timeout"
  /** A tunnel carried no byte in either direction for too long. */
  | "idle"
  /** The request's own body failed while it was being sent. */
  | "request_body"
  /** Given up from our side: client gone, request deadline, shutdown. */
  | "aborted";

/** Why an exchange with an endpoint failed. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly kind: UpstreamErrorKind;
  /** The endpoint cannot have acted on the request: it may be sent to another. */
  readonly unprocessed: boolean;
  /** The connection was lost before the first byte of an answer. */
  readonly unanswered: boolean;
  constructor(
    kind: UpstreamErrorKind,
    message: string,
    options: { cause?: unknown; unprocessed?: boolean; unanswered?: boolean } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.unprocessed = options.unprocessed ?? (kind === "connect" || kind === "connect_timeout");
    this.unanswered = options.unanswered ?? false;
  }
}
