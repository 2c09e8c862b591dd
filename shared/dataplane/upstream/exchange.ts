/** One request to one endpoint set's chosen address, from the pool's queue to the whole answer. */
import type { BodyReader, HeaderList } from "../request/types.ts";
import { Deadline } from "./deadlines.ts";
import { UpstreamError, type UpstreamErrorKind } from "./errors.ts";
import type { RequestHead } from "./request_head.ts";
import type { SetLoad } from "./set_load.ts";
import type { UpstreamTunnel } from "./tunnel.ts";

/** A request as the client sends it. */
export interface UpstreamRequest extends RequestHead {
  /** The whole body (replayable), a body to stream, or none. */
  body: Uint8Array | BodyReader | null;
  /** What an endpoint may have seen is not sent again, not even after a stale connection. */
  once?: boolean;
  /** Milliseconds without progress of the answer; absent = the client's own bound. HTTP/2 only. */
  idle?: number;
}

/** The head of an answer with its body. */
export interface UpstreamResponse {
  readonly status: number;
  /** Names lower-case; hop-by-hop headers removed. */
  readonly headers: HeaderList;
  /**
   * The whole body when it came with the head or is small, else a reader that must be read to null
   * or cancelled; null when the answer has no body.
   */
  readonly body: Uint8Array | BodyReader | null;
  /** The body of a 101: the connection that now carries another protocol. */
  readonly tunnel?: UpstreamTunnel;
}

/** Where an exchange goes. */
export interface Target {
  readonly address: string;
  readonly port: number;
  /** The circuit breakers of the set that it was picked from; absent = only those of the address. */
  readonly load?: SetLoad;
}

/** Who carries an exchange at the moment and can end it. */
export interface ExchangeCarrier {
  abandon(exchange: Exchange, error: UpstreamError): void;
}

const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** Is doing it twice as good as doing it once (RFC 9110 §9.2.2)? */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/**
 * A running exchange. `response` settles once; `abort` ends it at any time, also while the body of
 * the answer streams.
 */
export class Exchange {
  readonly request: UpstreamRequest;
  readonly load: SetLoad | null;
  readonly response: Promise<UpstreamResponse>;
  /** Connect and silence deadlines; whoever carries the exchange runs it. */
  readonly silence: Deadline;
  carrier: ExchangeCarrier | null = null;
  /** The request has been moved to a fresh connection once. */
  retried = false;
  /** Bytes of the request that a transport took over, in this attempt. */
  sent = 0;
  /** The head of the answer is out, or the exchange failed. */
  settled = false;
  /** What the silence deadline means now. */
  waitingFor: UpstreamErrorKind = "timeout";
  #resolve!: (response: UpstreamResponse) => void;
  #reject!: (error: UpstreamError) => void;

  constructor(request: UpstreamRequest, load: SetLoad | null = null) {
    this.request = request;
    this.load = load;
    this.silence = new Deadline(() =>
      this.abort(new UpstreamError(this.waitingFor, `no progress: ${this.waitingFor}`))
    );
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  succeed(response: UpstreamResponse): void {
    this.settled = true;
    this.#resolve(response);
  }

  fail(error: UpstreamError): void {
    this.silence.stop();
    if (this.settled) return;
    this.settled = true;
    this.#reject(error);
  }

  /** Ends the exchange: the connection it is on is closed, a streamed body rejects. */
  abort(error: UpstreamError): void {
    const carrier = this.carrier;
    this.carrier = null;
    if (carrier !== null) carrier.abandon(this, error);
    this.fail(error);
  }

  /**
   * May the request be sent again after a pooled connection turned out to be closed? Only when
   * doing it twice is harmless (idempotent) or it cannot have been done once (no byte was taken
   * over), and only while the body can still be repeated (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
   */
  replayable(): boolean {
    if (this.retried || this.settled) return false;
    const body = this.request.body;
    if (body !== null && !(body instanceof Uint8Array) && this.sent > 0) return false;
    if (this.sent === 0) return true;
    return this.request.once !== true && isIdempotent(this.request.method);
  }
}
