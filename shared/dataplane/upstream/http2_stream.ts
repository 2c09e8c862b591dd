/** One exchange on an HTTP/2 connection to an endpoint. */
import { StreamError } from "../http2/errors.ts";
import type { FieldBlock } from "../http2/hpack_decoder.ts";
import { InboundBody } from "../http2/inbound_body.ts";
import type { BodySource } from "../http2/inbound_body.ts";
import { responseHead, trailerList } from "../http2/message_head.ts";
import type { ResponseHead } from "../http2/message_head.ts";
import { ErrorCode } from "../http2/protocol.ts";
import { sendBody } from "../http2/send_body.ts";
import type { DataSink, Stream, StreamFailure, StreamOwner } from "../http2/stream.ts";
import type { BodyReader, HeaderList } from "../request/types.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange, ExchangeCarrier } from "./exchange.ts";
import type { Http2Upstream } from "./http2_connection.ts";

/** Bodies of a known length up to this are collected, so that they cost one answer, no stream. */
const WHOLE_BODY = 64 * 1024;
/** Interim answers to one request. */
const MAX_INTERIM = 16;
/** RFC 9110 §8.6: these announce that they have no body. */
const SAYS_EMPTY = new Set(["POST", "PUT", "PATCH"]);

export class ClientStream implements StreamOwner, BodySource, ExchangeCarrier {
  readonly #connection: Http2Upstream;
  readonly #exchange: Exchange;
  readonly #stream: Stream;
  #head: ResponseHead | null = null;
  #interim = 0;
  /** A body that is collected; the head waits for it. */
  #whole: WholeBody | null = null;
  /** A body that streams. */
  #body: InboundBody | null = null;
  #complete = false;
  /** Why it was given up from our side. */
  #error: UpstreamError | null = null;

  constructor(connection: Http2Upstream, exchange: Exchange) {
    this.#connection = connection;
    this.#exchange = exchange;
    this.#stream = connection.session.add(connection.nextStream(), this);
    exchange.carrier = this;
    exchange.sent = 0;
    exchange.waitingFor = "timeout";
  }

  /** Sends the request. */
  start(): void {
    const { request } = this.#exchange;
    const { session } = this.#connection;
    const { body } = request;
    const length = body !== null ? body.length : SAYS_EMPTY.has(request.method) ? 0 : -1;
    const pseudo: HeaderList = [
      ":method",
      request.method,
      ":scheme",
      "http",
      ":authority",
      request.host,
      ":path",
      request.target,
    ];
    const extra: HeaderList = length === -1 ? [] : ["content-length", String(length)];
    this.#touch();
    try {
      const empty = body === null || (body instanceof Uint8Array && body.length === 0);
      session.sender.headers(this.#stream, { pseudo, list: request.headers, extra }, empty);
      if (empty) return;
      if (body instanceof Uint8Array) {
        this.#exchange.sent = body.length;
        session.sender.data(this.#stream, body, true);
      } else void this.#send(body);
    } catch (error) {
      this.#giveUp("protocol", "the request cannot be sent", error);
    }
  }

  /** Gives the exchange up. */
  end(error: UpstreamError): void {
    this.#exchange.abort(error);
  }

  abandon(_exchange: Exchange, error: UpstreamError): void {
    this.#error = error;
    // Nobody knows whether the connection still works: the next request gets another.
    if (error.kind === "timeout") this.#connection.retire();
    this.#connection.session.reset(this.#stream, ErrorCode.CANCEL, error.message);
  }

  // ---- StreamOwner --------------------------------------------------------------------------

  headers(block: FieldBlock, endStream: boolean): void {
    if (block.tooLarge || block.fields.length > this.#connection.maxHeaders) {
      this.#error = new UpstreamError("head_too_large", "response head too large");
      throw new StreamError(ErrorCode.CANCEL, "response head too large");
    }
    if (this.#head !== null) {
      if (!endStream) throw new StreamError(ErrorCode.PROTOCOL_ERROR, "trailers without an end");
      const trailers = trailerList(block.fields);
      if (trailers.length > 0) this.#trailers(trailers);
      return;
    }
    const head = responseHead(block.fields);
    if (head.status < 200) {
      // 101 does not exist in HTTP/2 (RFC 9113 §8.6).
      if (endStream || head.status === 101 || ++this.#interim > MAX_INTERIM) {
        throw new StreamError(ErrorCode.PROTOCOL_ERROR, "bad interim answer");
      }
      return;
    }
    this.#head = head;
    this.#begin(head, endStream);
  }

  ended(): void {
    this.#complete = true;
    this.#connection.served++;
    const exchange = this.#exchange;
    exchange.silence.stop();
    exchange.carrier = null;
    if (this.#body !== null) this.#body.end();
    else if (!exchange.settled) this.#answer(this.#whole?.bytes ?? null);
  }

  failed(failure: StreamFailure): void {
    const exchange = this.#exchange;
    const sending = exchange.request.body;
    const reader = sending !== null && "read" in sending ? sending : null;
    exchange.silence.stop();
    // RFC 9113 §8.1: answered early, and nobody is going to read the rest of the request.
    if (this.#complete) return reader?.cancel();
    exchange.carrier = null;
    if (this.#mayRepeat(failure)) return this.#connection.retry(exchange);
    const unanswered = failure.by === "connection" && this.#head === null && this.#interim === 0;
    const error = this.#error ?? upstreamError(failure, unanswered);
    exchange.fail(error);
    this.#body?.fail(error);
    reader?.cancel(error);
  }

  // ---- BodySource ---------------------------------------------------------------------------

  consumed(octets: number): void {
    this.#connection.session.consumed(this.#stream, octets);
  }

  dropped(octets: number): void {
    this.#connection.session.dropped(octets);
  }

  waits(waiting: boolean): void {
    if (waiting && !this.#complete) this.#touch();
    else this.#exchange.silence.stop();
  }

  cancelled(reason: unknown): void {
    if (this.#complete) return;
    this.#giveUp("aborted", "body given up", reason);
  }

  // -------------------------------------------------------------------------------------------

  #begin(head: ResponseHead, endStream: boolean): void {
    const stream = this.#stream;
    const { method } = this.#exchange.request;
    if (endStream) {
      const silent = method === "HEAD" || head.status === 304;
      if (head.contentLength > 0 && !silent) {
        throw new StreamError(ErrorCode.PROTOCOL_ERROR, "content-length without a body");
      }
      return;
    }
    // A body where there cannot be one: only its end may come.
    stream.expected = method === "HEAD" || head.status === 204 || head.status === 304
      ? 0
      : head.contentLength;
    if (stream.expected >= 0 && stream.expected <= WHOLE_BODY) {
      stream.body = this.#whole = new WholeBody(stream.expected, this);
      this.#touch();
    } else {
      this.#stream_(stream.expected);
      this.#exchange.silence.stop();
      this.#answer(this.#body);
    }
  }

  #stream_(length: number): InboundBody {
    const body = new InboundBody(length, this);
    this.#stream.body = this.#body = body;
    return body;
  }

  #answer(body: Uint8Array | BodyReader | null): void {
    const { status, headers } = this.#head!;
    this.#exchange.succeed({ status, headers, body });
  }

  /** Only a reader can tell of trailers: what was collected becomes one. */
  #trailers(trailers: HeaderList): void {
    let body = this.#body;
    if (body === null) {
      const whole = this.#whole;
      body = this.#stream_(this.#stream.expected);
      if (whole !== null) body.preload(whole.bytes);
      this.#answer(body);
    }
    body.trailers = trailers;
  }

  async #send(body: BodyReader): Promise<void> {
    const exchange = this.#exchange;
    const where = { sender: this.#connection.session.sender, stream: this.#stream };
    try {
      await sendBody(where, body, (octets) => {
        exchange.sent += octets;
        if (this.#head === null) this.#touch();
      });
    } catch (error) {
      this.#giveUp("request_body", "the request body failed", error);
    }
  }

  #giveUp(kind: "request_body" | "aborted" | "protocol", what: string, cause: unknown): void {
    this.#error ??= new UpstreamError(kind, what, { cause });
    this.#connection.session.reset(this.#stream, ErrorCode.CANCEL, what);
  }

  #touch(): void {
    const { deadlines, responseIdleTimeout } = this.#connection;
    deadlines.start(this.#exchange.silence, this.#exchange.request.idle ?? responseIdleTimeout);
  }

  /**
   * May the request be sent once more? When the endpoint says that it was not processed (RFC 9113
   * §8.7) or the connection broke before an answer and it is harmless (RFC 9110 §9.2.2).
   */
  #mayRepeat(failure: StreamFailure): boolean {
    const exchange = this.#exchange;
    if (this.#error !== null || this.#head !== null || exchange.settled || exchange.retried) {
      return false;
    }
    const { body } = exchange.request;
    if (body !== null && "read" in body && exchange.sent > 0) return false;
    // RFC 9113 §8.7: refused before anything was done with it.
    if (failure.code === ErrorCode.REFUSED_STREAM) return exchange.request.once !== true;
    return failure.by === "connection" && this.#connection.served > 0 && exchange.replayable();
  }
}

function upstreamError({ by, code, reason }: StreamFailure, unanswered: boolean): UpstreamError {
  if (by !== "us") {
    // RFC 9113 §8.7.
    const unprocessed = code === ErrorCode.REFUSED_STREAM;
    return new UpstreamError("reset", reason, { unprocessed, unanswered });
  }
  return new UpstreamError(code === ErrorCode.CANCEL ? "timeout" : "protocol", reason);
}

/** A body of known length that is handed on in one piece. */
class WholeBody implements DataSink {
  readonly bytes: Uint8Array;
  #filled = 0;
  readonly #source: BodySource;

  constructor(length: number, source: BodySource) {
    this.bytes = new Uint8Array(length);
    this.#source = source;
  }

  push(piece: Uint8Array): void {
    this.bytes.set(piece, this.#filled);
    this.#filled += piece.length;
    this.#source.consumed(piece.length);
  }
}
