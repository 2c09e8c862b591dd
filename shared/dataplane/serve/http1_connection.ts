/**
 * The life of one HTTP/1.x connection: head, handler, answer, and again. Requests are handled one
 * after the other; bytes of pipelined requests wait in the transport.
 */
import { Buffer } from "node:buffer";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { Http2Limit } from "../http2/limits.ts";
import type { Limits } from "../request/limits.ts";
import type {
  InboundConnection,
  InboundRequest,
  OutboundResponse,
  RequestHandler,
} from "../request/types.ts";
import type { ByteStream } from "./byte_stream.ts";
import { BodyError, ChunkedBody, LengthBody } from "./http1_body.ts";
import type { FramedBody } from "./http1_body.ts";
import { HeadError, HeadScanner, parseRequestHead } from "./http1_head.ts";
import type { RequestHead } from "./http1_head.ts";
import { InputBuffer } from "./http1_input.ts";
import { Http1Tunnel, UpgradeInput } from "./http1_upgrade.ts";
import { errorResponse, writeResponse } from "./http1_response.ts";
import type { WriteBuffers } from "./write_buffers.ts";

/** A bound that a client ran into, for the counter. */
export type LimitName =
  | "head_bytes"
  | "head_timeout"
  | "keep_alive_timeout"
  | "body_timeout"
  | "body_bytes"
  | "response_timeout"
  | "half_closed_timeout"
  | "tunnel_drain_timeout"
  | "connections"
  | Http2Limit;

/** What every connection of an engine shares. */
export interface Http1Options {
  handler: RequestHandler;
  limits: Limits;
  deadlines: Deadlines;
  onLimit: (limit: LimitName) => void;
  /** Value for the Date header, cached per second by the caller. */
  date: () => string;
  buffers: WriteBuffers;
  /** True once the server ends soon: every answer is the last of its connection. Default: never. */
  ending?: () => boolean;
}

/** Bytes and milliseconds that a client may take to notice that the connection is closing. */
const CR = 13;
const LINGER_BYTES = 256 * 1024;
const LINGER_TIME = 1_000;

/** A connection being served. */
export interface ServedHttp1 {
  /** Resolves when it is closed; never rejects. */
  readonly finished: Promise<void>;
  /** Lets a running request finish, then closes. */
  drain(): Promise<void>;
  /** Closes at once. */
  abort(): void;
}

/** Serves a connection until it is gone. */
export function openHttp1(
  stream: ByteStream,
  info: InboundConnection,
  options: Http1Options,
): ServedHttp1 {
  const connection = new Http1Connection(stream, info, options);
  const serve = async () => {
    try {
      await connection.serve();
    } catch {
      // The transport failed or the client broke off: there is nobody left to answer.
    } finally {
      connection.close();
    }
  };
  const finished = serve();
  return {
    finished,
    drain: () => {
      connection.drain();
      return finished;
    },
    abort: () => connection.close(),
  };
}

class Http1Connection {
  readonly #stream: ByteStream;
  readonly #info: InboundConnection;
  readonly #options: Http1Options;
  readonly #input: InputBuffer;
  /** Of waiting for the client's bytes. */
  readonly #deadline: Deadline;
  /** What the running deadline stands for; undefined = nothing to count. */
  #limit: LimitName | undefined = "head_timeout";
  /** Of waiting for the client to take ours: one that sends but never reads is cut as well. */
  readonly #writeDeadline: Deadline;
  readonly #onWritten = () => this.#writeDeadline.stop();
  readonly #onWatched = (more: boolean) => this.#watched(more);
  #current: InboundRequest | undefined;
  /** The answer to the current request has begun. */
  #answering = false;
  /** No bytes of a request are there: closing loses nothing. */
  #idle = true;
  /** No request after the current one. */
  #last = false;
  #tunnel: Http1Tunnel | undefined;

  constructor(stream: ByteStream, info: InboundConnection, options: Http1Options) {
    this.#options = options;
    this.#info = info;
    this.#deadline = new Deadline(() => {
      if (this.#limit !== undefined) options.onLimit(this.#limit);
      stream.destroy();
    });
    this.#writeDeadline = new Deadline(() => {
      options.onLimit("response_timeout");
      stream.destroy();
    });
    this.#stream = {
      ...(stream.copied === true ? { copied: true } : {}),
      read: () => stream.read(),
      write: (bytes) => this.#write(stream, bytes),
      end: () => stream.end(),
      destroy: () => stream.destroy(),
      onClose: null,
    };
    this.#input = new InputBuffer(this.#stream);
    stream.onClose = () => {
      this.#deadline.stop();
      this.#writeDeadline.stop();
      const request = this.#current;
      this.#current = undefined;
      request?.onAbort?.();
    };
  }

  async serve(): Promise<void> {
    for (let first = true;; first = false) {
      let head: RequestHead | null;
      try {
        head = await this.#readHead(first);
      } catch (error) {
        if (!(error instanceof HeadError)) throw error;
        if (error.status === 431) this.#options.onLimit("head_bytes");
        return await this.#refuse(error.status, error.message);
      }
      // What was answered may still be under way.
      if (head === null) return await this.#end();
      const { maxBodyBytes } = this.#options.limits;
      if (maxBodyBytes > 0 && head.contentLength > maxBodyBytes) {
        this.#options.onLimit("body_bytes");
        return await this.#refuse(413, "request body too large");
      }
      const body = this.#body(head);
      const more = await this.#exchange(head, body);
      // A tunnel has ended in both directions.
      if (this.#tunnel !== undefined) return;
      if (!more) return await this.#linger();
    }
  }

  close(): void {
    this.#deadline.stop();
    this.#writeDeadline.stop();
    this.#stream.destroy();
  }

  /** The current request is the last; without one the connection closes. */
  drain(): void {
    this.#last = true;
    if (this.#idle) this.close();
    this.#tunnel?.drain();
  }

  /** The next head, or null when the client has no more requests. */
  async #readHead(first: boolean): Promise<RequestHead | null> {
    const { limits } = this.#options;
    const input = this.#input;
    if (input.size === 0) {
      this.#idle = true;
      if (this.#last) return null;
      if (first) this.#withinHead();
      else this.#within("keep_alive_timeout", limits.keepAliveTimeout);
      if (!await input.fill()) return null;
    }
    this.#idle = false;
    if (input.bytes[input.start] === CR) {
      this.#withinHead();
      if (!await this.#skipEmptyLines()) return null;
    }
    // Relative to the head's first byte: filling may move the bytes.
    const scanner = new HeadScanner(0);
    for (;;) {
      const bytes = input.bytes.subarray(input.start, input.end);
      const end = scanner.scan(bytes, bytes.length);
      if (end > limits.maxHeadBytes || (end === -1 && bytes.length > limits.maxHeadBytes)) {
        throw new HeadError(431, "request head too large");
      }
      if (end !== -1) {
        const head = input.take(end);
        this.#deadline.stop();
        const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString("latin1");
        return parseRequestHead(text, limits);
      }
      // Most heads come whole and need no deadline of their own.
      this.#withinHead();
      if (!await input.fill()) return null;
    }
  }

  /** RFC 9112 §2.2: empty lines before a request line are ignored. False at the end of input. */
  async #skipEmptyLines(): Promise<boolean> {
    const input = this.#input;
    for (let skipped = 0;;) {
      while (input.size < 2 && input.bytes[input.start] === 13) {
        if (!await input.fill()) return false;
      }
      if (input.bytes[input.start] !== 13 || input.bytes[input.start + 1] !== 10) return true;
      input.skip(2);
      if (++skipped > 4) throw new HeadError(400, "empty lines before the request line");
      if (input.size === 0 && !await input.fill()) return false;
    }
  }

  #body(head: RequestHead): FramedBody | null {
    if (head.contentLength === 0) return null;
    const options = {
      input: this.#input,
      onFirstRead: () =>
        // Within an answer it would be taken for a part of it.
        head.expectContinue && this.#input.size === 0 && !this.#answering
          ? this.#stream.write(Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1"))
          : Promise.resolve(),
      fill: () => this.#fillBody(),
      maxBytes: this.#options.limits.maxBodyBytes,
      onComplete: () => this.#watch(),
    };
    return head.contentLength === -1
      ? new ChunkedBody(options)
      : new LengthBody(head.contentLength, options);
  }

  /** Waits for bytes of a body. When they take too long the body fails, so that 408 goes out. */
  #fillBody(): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const deadline = new Deadline(() => {
      this.#options.onLimit("body_timeout");
      reject(new BodyError("timeout", "no byte of the body came in time"));
    });
    this.#options.deadlines.start(deadline, this.#options.limits.bodyIdleTimeout);
    this.#input.fill().then(resolve, reject).finally(() => deadline.stop());
    return promise;
  }

  /** Handles one request; false when the connection ends with it. */
  async #exchange(head: RequestHead, body: FramedBody | null): Promise<boolean> {
    const input = head.upgrade === "" ? null : new UpgradeInput(this.#input);
    const request: InboundRequest = {
      connection: this.#info,
      method: head.method,
      target: head.target,
      authority: head.host,
      httpVersion: head.httpVersion,
      headers: head.headers,
      body,
      upgrade: input === null ? null : { protocol: head.upgrade, input },
      onAbort: null,
    };
    this.#current = request;
    if (body === null) this.#watch();
    const response = await this.#options.handler(request);
    this.#answering = true;
    this.#deadline.stop();
    if (response.upgrade !== "" && input !== null) {
      await this.#switch(response, input);
      return false;
    }
    const progress = { bytes: 0 };
    try {
      const keepAlive = await writeResponse(this.#stream, response, {
        method: head.method,
        httpVersion: head.httpVersion,
        // A body that nobody read to its end would be taken for the next request.
        keepAlive: head.keepAlive && !this.#last && this.#options.ending?.() !== true &&
          (body === null || body.complete),
        date: this.#options.date(),
        buffers: this.#options.buffers,
        progress,
      });
      this.#current = undefined;
      this.#answering = false;
      response.done(progress);
      return keepAlive;
    } catch (error) {
      this.#current = undefined;
      response.done({ ...progress, error });
      throw error;
    }
  }

  /** The connection carries another protocol from now on, to its end. */
  async #switch(response: OutboundResponse, input: UpgradeInput): Promise<void> {
    const { limits, deadlines, date, onLimit } = this.#options;
    // What the client sent before it left still goes to the backend; each direction ends by itself.
    this.#current = undefined;
    this.#tunnel = new Http1Tunnel({ ...this.#stream, end: () => this.#end() }, {
      response,
      input,
      limits,
      deadlines,
      date: date(),
      onDrained: () => onLimit("tunnel_drain_timeout"),
    });
    if (this.#last) this.#tunnel.drain();
    await this.#tunnel.run();
  }

  /**
   * Keeps a read outstanding while a request runs, so that a client that breaks off is noticed. The
   * bytes it may bring are those of the next request; there is one such read, so what a client
   * sends ahead waits in the transport.
   */
  #watch(): void {
    if (this.#input.size > 0) return;
    // A failure closes the stream, which ends the request.
    this.#input.fill().then(this.#onWatched, () => {});
  }

  /**
   * A client that closed its sending side may still want its answer (RFC 9112 §9.6), or be gone:
   * only sending something would tell. It gets a bounded time.
   */
  #watched(more: boolean): void {
    if (more || this.#current === undefined || this.#answering) return;
    this.#within("half_closed_timeout", this.#options.limits.halfClosedTimeout);
  }

  async #refuse(status: number, reason: string): Promise<void> {
    const response: OutboundResponse = errorResponse(status, reason);
    const { date, buffers } = this.#options;
    const framing = { method: "GET", httpVersion: "1.1", keepAlive: false, buffers } as const;
    const progress = { bytes: 0 };
    await writeResponse(this.#stream, response, { ...framing, date: date(), progress });
    await this.#linger();
  }

  /**
   * Closes without losing the answer: sends what is pending, then waits for the client to close.
   * Closing while the client still sends would reset the connection, and a reset discards what the
   * client has not read yet (RFC 9112 §9.6).
   */
  async #linger(): Promise<void> {
    await this.#end();
    this.#within(undefined, LINGER_TIME);
    for (let bytes = 0; bytes < LINGER_BYTES;) {
      this.#input.skip(this.#input.size);
      if (!await this.#input.fill()) return;
      bytes += this.#input.size;
    }
  }

  /** Closes our side; a client that reads slowly gets its time to take what is pending. */
  async #end(): Promise<void> {
    const { deadlines, limits } = this.#options;
    this.#deadline.stop();
    deadlines.start(this.#writeDeadline, limits.responseIdleTimeout);
    await this.#stream.end();
    this.#writeDeadline.stop();
  }

  /** Once per head: bytes that trickle in do not put it off. */
  #withinHead(): void {
    if (this.#limit === "head_timeout" && this.#deadline.active) return;
    this.#within("head_timeout", this.#options.limits.headTimeout);
  }

  #within(limit: LimitName | undefined, ms: number): void {
    this.#limit = limit;
    this.#options.deadlines.start(this.#deadline, ms);
  }

  /** A failure closes the stream, and that stops the deadline. */
  #write(stream: ByteStream, bytes: Uint8Array): Promise<void> {
    const { deadlines, limits } = this.#options;
    deadlines.start(this.#writeDeadline, limits.responseIdleTimeout);
    return stream.write(bytes).then(this.#onWritten);
  }
}
