/** Writes requests to a connection: one write when the body is small or absent, else a stream. */
import type { UpstreamConn } from "./connect.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { sendBody } from "./request_body.ts";
import { encodeLatin1, requestHeadText } from "./request_head.ts";

const BUFFER = 16 * 1024;
const EMPTY = new Uint8Array(0);
/** RFC 9110 §8.6: these announce that they have no body. */
const SAYS_EMPTY = new Set(["POST", "PUT", "PATCH"]);

/** What a writer tells its connection. */
export interface WriterEvents {
  /** The transport took this many bytes of the request. */
  taken(exchange: Exchange, bytes: number): void;
  /** `request_body` when the body is to blame, else `reset`. */
  failed(exchange: Exchange, error: UpstreamError): void;
}

/** One request at a time; its buffer is reused from request to request. */
export class RequestWriter {
  /** Part of a request is not written yet. */
  busy = false;
  readonly #conn: UpstreamConn;
  readonly #events: WriterEvents;
  readonly #buffer = new Uint8Array(BUFFER);
  #pending: Uint8Array = EMPTY;
  #exchange: Exchange | null = null;
  readonly #onWritten = (n: number) => this.#written(n);
  readonly #onError = (error: unknown) =>
    this.#failed(new UpstreamError("reset", "the endpoint stopped reading", { cause: error }));

  constructor(conn: UpstreamConn, events: WriterEvents) {
    this.#conn = conn;
    this.#events = events;
  }

  /** Starts to send; `busy` until it is out. */
  send(exchange: Exchange): void {
    const { request } = exchange;
    const { body } = request;
    const length = body !== null ? body.length : SAYS_EMPTY.has(request.method) ? 0 : -2;
    const text = requestHeadText(request, length);
    let buffer = this.#buffer;
    let size = encodeLatin1(text, buffer);
    if (size === -1) {
      buffer = new Uint8Array(text.length);
      size = encodeLatin1(text, buffer);
    }
    this.busy = true;
    this.#exchange = exchange;
    if (body === null) return this.#write(buffer.subarray(0, size));
    if (!(body instanceof Uint8Array)) {
      sendBody(this.#conn, {
        head: buffer.slice(0, size),
        body,
        sent: (bytes) => this.#events.taken(exchange, bytes),
      }).then(() => this.#finish(), (error: UpstreamError) => this.#failed(error));
      return;
    }
    if (size + body.length > buffer.length) {
      const joined = new Uint8Array(size + body.length);
      joined.set(buffer.subarray(0, size));
      buffer = joined;
    }
    buffer.set(body, size);
    this.#write(buffer.subarray(0, size + body.length));
  }

  #write(bytes: Uint8Array): void {
    this.#pending = bytes;
    this.#conn.write(bytes).then(this.#onWritten, this.#onError);
  }

  #written(n: number): void {
    const rest = this.#pending;
    const exchange = this.#exchange!;
    if (n < rest.length) {
      this.#events.taken(exchange, n);
      return this.#write(rest.subarray(n));
    }
    exchange.sent += n;
    this.#finish();
  }

  #finish(): void {
    this.busy = false;
    this.#pending = EMPTY;
    this.#exchange = null;
  }

  #failed(error: UpstreamError): void {
    const exchange = this.#exchange!;
    this.#finish();
    this.#events.failed(exchange, error);
  }
}
