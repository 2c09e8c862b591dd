/**
 * What passes between an engine, which speaks a protocol on an accepted connection, and the
 * request core, which decides and forwards. Flat header lists and pulled bodies: nothing here
 * depends on the engine, so the same request tests run on all of them.
 */
import type { PortTable } from "../table/types.ts";

/** Flat header list `[name, value, name, value, …]`; names lower-case, order and repeats kept. */
export type HeaderList = string[];

/** A body that is pulled: whoever reads decides the pace, which is the backpressure. */
export interface BodyReader {
  /** Bytes in all when known from the framing, else -1. */
  readonly length: number;
  /**
   * The next chunk, or null at the end. One call at a time. The chunk is only valid until the next
   * call. Rejects when the peer fails or breaks the framing.
   */
  read(): Promise<Uint8Array | null>;
  /** Gives the rest up: the source is closed or drained as its framing allows. Idempotent. */
  cancel(reason?: unknown): void;
  /**
   * What came after the body, known once `read` gave null; names lower-case, only fields that may
   * be passed on. Null or missing when there is nothing, or the protocol shows none.
   */
  readonly trailers?: HeaderList | null;
}

/** What an engine knows about the connection that a request came in on. */
export interface InboundConnection {
  readonly scheme: "http" | "https";
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The *declared* port of the Gateway's listener, never the fleet's. */
  readonly port: number;
  /** `gateway/<ns>/<name>`. */
  readonly scope: string;
  /** SNI of the handshake, lower-case; empty without TLS or without SNI. */
  readonly sni: string;
  /** The table in force now; undefined when the Gateway no longer serves this port. */
  table(): PortTable | undefined;
  /** Version of the snapshot in force now. */
  snapshotVersion(): number;
}

/**
 * A client that wants to go on with another protocol where this request is (RFC 9110 §7.8; over
 * HTTP/2 by extended CONNECT, RFC 8441). A 101 from the core says yes, whatever the engine's own
 * protocol calls it; any other answer says no, and is an answer like any other.
 */
export interface UpgradeRequest {
  /** What the client offers: the value of its Upgrade header, or `:protocol`. */
  readonly protocol: string;
  /** What the client sends after the switch. Read only once the answer is a 101. */
  readonly input: BodyReader;
}

/** One request, as an engine hands it to the core. */
export interface InboundRequest {
  readonly connection: InboundConnection;
  readonly method: string;
  /** Raw request target in origin form as received: path and query; `*` for `OPTIONS *`. */
  readonly target: string;
  /** Host header or `:authority` as received, port included; never empty. */
  readonly authority: string;
  readonly httpVersion: "1.0" | "1.1" | "2";
  /** Without `host` and pseudo headers. */
  readonly headers: HeaderList;
  /** Null when the request has no body. */
  readonly body: BodyReader | null;
  /** Null when the client stays with HTTP. A request with an upgrade has no body. */
  readonly upgrade: UpgradeRequest | null;
  /** Set by the core; the engine calls it once if the client goes away before the answer is out. */
  onAbort: (() => void) | null;
}

/** The core's answer. The engine adds only the framing headers of its protocol. */
export interface OutboundResponse {
  readonly status: number;
  /** Without connection, transfer-encoding; `content-length` only when it describes the message. */
  readonly headers: HeaderList;
  /** Whole body (the engine's from now on: it may free the memory), streamed body, or none. */
  readonly body: Uint8Array | BodyReader | null;
  /**
   * With a 101: the protocol switched to; the body is what the client gets from then on. Empty
   * otherwise. Done when both directions have ended.
   */
  readonly upgrade: string;
  /** Close the connection after this answer. */
  readonly close: boolean;
  /** The engine calls it exactly once, when the answer is out or has failed. */
  done(outcome: ResponseOutcome): void;
}

export interface ResponseOutcome {
  /** Body bytes handed to the transport. */
  bytes: number;
  /** Why the answer did not get out whole; undefined when it did. */
  error?: unknown;
}

/** The request core, as an engine sees it. Never rejects: every failure is an answer. */
export type RequestHandler = (request: InboundRequest) => Promise<OutboundResponse>;
