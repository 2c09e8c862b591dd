/**
 * One connection to an endpoint: a small state machine over one outstanding read and one
 * outstanding write. A read is always outstanding, also while the connection is idle: a close by
 * the endpoint is seen at once, and bytes that nobody asked for end the connection.
 */
import type { UpstreamConn } from "./connect.ts";
import type { Limits } from "../request/limits.ts";
import type { Deadlines } from "./deadlines.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { RequestWriter } from "./request_writer.ts";
import { UpstreamBody } from "./response_body.ts";
import {
  decodeLatin1,
  findHeadEnd,
  parseResponseHead,
  type ResponseHead,
} from "./response_head.ts";
import { ChunkedDecoder } from "./chunked.ts";
import type { SetLoad } from "./set_load.ts";
import { UpstreamTunnel } from "./tunnel.ts";
import { switchesTo } from "./upgrade_answer.ts";

const READ_BUFFER = 32 * 1024;
/** Bodies of a known length up to this are collected, so that they cost one answer, no stream. */
const WHOLE_BODY = 64 * 1024;

/** What a connection tells its pool. */
export interface ConnectionOwner {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  /** The exchange is over and the connection can carry another. */
  released(connection: UpstreamConnection): void;
  /** The connection is closed. */
  closed(connection: UpstreamConnection): void;
  /** The endpoint switched protocols: its connection is now the tunnel's. */
  switched(connection: UpstreamConnection, tunnel: UpstreamTunnel): void;
  /** The tunnel is closed. */
  tunnelClosed(tunnel: UpstreamTunnel): void;
  /** This pooled one was dead before any byte of an answer; it closes right afterwards. */
  retry(exchange: Exchange, connection: UpstreamConnection): void;
}

type Phase = "idle" | "head" | "whole" | "stream" | "closed";

/** See the file comment. Not a pool, and knows nothing of routing. */
export class UpstreamConnection {
  /** Exchanges carried before this one. */
  served = 0;
  /** Monotonic milliseconds; set by the pool. */
  idleSince = 0;
  /** The set for whose request it was opened; the pool's to keep. */
  load: SetLoad | null = null;
  readonly #conn: UpstreamConn;
  readonly #owner: ConnectionOwner;
  readonly #writer: RequestWriter;
  #phase: Phase = "idle";
  #exchange: Exchange | null = null;
  #buffer = new Uint8Array(READ_BUFFER);
  #start = 0;
  #end = 0;
  #scanned = 0;
  #headBytes = 0;
  #reading = false;
  #eof = false;
  #keepAlive = true;
  #head: ResponseHead | null = null;
  #whole: Uint8Array<ArrayBuffer> | null = null;
  #wholeFilled = 0;
  #body: UpstreamBody | null = null;
  readonly #onRead = (n: number | null) => this.#read(n);
  readonly #onReadError = (error: unknown) => {
    this.#reading = false;
    this.#lost(error);
  };
  constructor(conn: UpstreamConn, owner: ConnectionOwner) {
    this.#conn = conn;
    this.#owner = owner;
    this.#writer = new RequestWriter(conn, {
      taken: (exchange, bytes) => {
        exchange.sent += bytes;
        if (this.#exchange === exchange && this.#phase === "head") this.#touch(exchange);
      },
      failed: (exchange, error) => this.#sendFailed(exchange, error),
    });
  }

  get isClosed(): boolean {
    return this.#phase === "closed";
  }

  /** Sends a request on an idle connection. The answer goes to the exchange. */
  start(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#phase = "head";
    // A connection that was asked to switch is not trusted with another request.
    this.#keepAlive = exchange.request.upgrade === undefined;
    this.#headBytes = 0;
    exchange.carrier = this;
    exchange.sent = 0;
    exchange.waitingFor = "timeout";
    this.#owner.deadlines.start(exchange.silence, this.#owner.limits.responseIdleTimeout);
    this.#writer.send(exchange);
    this.#arm();
  }

  /** Gives up an exchange: its connection cannot be used again. */
  abandon(exchange: Exchange, error: UpstreamError): void {
    if (this.#exchange !== exchange) return;
    this.#shut(error);
  }

  /** Keeps an outstanding read, so that a close is noticed. */
  watch(): void {
    this.#arm();
  }

  /** Closes the connection; a running exchange fails with `error`. Idempotent. */
  close(error?: UpstreamError): void {
    this.#shut(error ?? new UpstreamError("aborted", "connection closed"));
  }

  // ---- receiving ----------------------------------------------------------------------------

  #arm(): void {
    if (this.#reading || this.#phase === "closed") return;
    if (this.#phase === "whole") {
      this.#reading = true;
      this.#conn.read(this.#whole!.subarray(this.#wholeFilled)).then(
        this.#onRead,
        this.#onReadError,
      );
      return;
    }
    if (this.#start === this.#end) this.#start = this.#end = this.#scanned = 0;
    else if (this.#end === this.#buffer.length && !this.#makeRoom()) return;
    this.#reading = true;
    this.#conn.read(this.#end === 0 ? this.#buffer : this.#buffer.subarray(this.#end)).then(
      this.#onRead,
      this.#onReadError,
    );
  }

  #makeRoom(): boolean {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const bound = this.#owner.limits.maxHeadBytes;
      if (this.#buffer.length >= bound) {
        this.#shut(new UpstreamError("head_too_large", `response head above ${bound} bytes`));
        return false;
      }
      const larger = new Uint8Array(Math.min(bound, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, this.#end));
      this.#buffer = larger;
    }
    this.#scanned = Math.max(0, this.#scanned - this.#start);
    this.#end -= this.#start;
    this.#start = 0;
    return true;
  }

  #read(n: number | null): void {
    this.#reading = false;
    const exchange = this.#exchange;
    if (this.#phase === "closed") return;
    if (exchange === null) {
      // Idle: either the endpoint closed it, or it answered something that was never asked.
      this.#shut(new UpstreamError("reset", "closed while idle"));
      return;
    }
    if (n === null) {
      this.#eof = true;
      if (this.#phase === "stream") this.#body!.ended();
      else this.#lost(undefined);
      return;
    }
    if (this.#phase === "whole") {
      this.#wholeFilled += n;
      if (this.#wholeFilled === this.#whole!.length) return this.#answerWhole(this.#whole!);
      this.#touch(exchange);
      return this.#arm();
    }
    this.#end += n;
    if (this.#phase === "head") this.#parseHead(exchange);
    else this.#body!.arrived();
  }

  #touch(exchange: Exchange): void {
    this.#owner.deadlines.start(exchange.silence, this.#owner.limits.responseIdleTimeout);
  }

  #parseHead(exchange: Exchange): void {
    try {
      for (;;) {
        const from = Math.max(this.#start, this.#scanned - 3);
        const headEnd = findHeadEnd(this.#buffer, from, this.#end);
        if (headEnd === -1) {
          this.#scanned = this.#end;
          if (this.#headBytes + this.#end - this.#start > this.#owner.limits.maxHeadBytes) {
            throw new UpstreamError("head_too_large", "response head too long");
          }
          return this.#arm();
        }
        const text = decodeLatin1(this.#buffer, this.#start, headEnd);
        const head = parseResponseHead(text, this.#owner.limits.maxHeaders);
        // Interim answers count against the bound as well: nobody may send them without end.
        this.#headBytes += headEnd - this.#start;
        this.#start = this.#scanned = headEnd;
        if (head.status >= 200) return this.#takeBody(exchange, head);
        if (head.status === 101) return this.#switch(exchange, head);
        if (this.#headBytes > this.#owner.limits.maxHeadBytes) {
          throw new UpstreamError("protocol", `unexpected interim answer ${head.status}`);
        }
      }
    } catch (error) {
      this.#shut(
        error instanceof UpstreamError
          ? error
          : new UpstreamError("protocol", "response head", { cause: error }),
      );
    }
  }

  /** RFC 9110 §15.2.2: only to what was offered, and only when something was. */
  #switch(exchange: Exchange, head: ResponseHead): void {
    const { upgrade } = exchange.request;
    if (upgrade === undefined || !switchesTo(upgrade, head.upgrade)) {
      throw new UpstreamError("protocol", "switched to a protocol that was not offered");
    }
    if (this.#writer.busy) throw new UpstreamError("protocol", "switched before it was asked");
    const { deadlines, limits } = this.#owner;
    const tunnel = new UpstreamTunnel(this.#conn, {
      protocol: head.upgrade,
      held: this.#buffer.subarray(this.#start, this.#end),
      deadlines,
      idleTimeout: limits.tunnelIdleTimeout,
      onClosed: (closed) => this.#owner.tunnelClosed(closed),
    });
    this.#phase = "closed";
    this.#exchange = null;
    exchange.silence.stop();
    exchange.carrier = tunnel;
    this.#owner.switched(this, tunnel);
    exchange.succeed({ status: head.status, headers: head.headers, body: tunnel, tunnel });
  }

  #takeBody(exchange: Exchange, head: ResponseHead): void {
    if (!head.keepAlive) this.#keepAlive = false;
    this.#head = head;
    const { status, contentLength } = head;
    if (exchange.request.method === "HEAD" || status === 204 || status === 304) {
      return this.#answer(null);
    }
    const held = this.#end - this.#start;
    if (head.chunked) {
      const decoder = new ChunkedDecoder();
      const dataEnd = decoder.decode(this.#buffer, this.#start, this.#end);
      const data = this.#start;
      this.#start = decoder.next;
      if (decoder.done) return this.#answer(this.#buffer.slice(data, dataEnd));
      return this.#stream(exchange, { length: -1, decoder, first: [data, dataEnd] });
    }
    if (contentLength === -1) {
      this.#keepAlive = false;
      return this.#stream(exchange, { length: -1 });
    }
    if (contentLength <= held) {
      const body = this.#buffer.slice(this.#start, this.#start + contentLength);
      this.#start += contentLength;
      return this.#answer(body);
    }
    if (contentLength > WHOLE_BODY) return this.#stream(exchange, { length: contentLength });
    this.#whole = new Uint8Array(contentLength);
    this.#whole.set(this.#buffer.subarray(this.#start, this.#end));
    this.#wholeFilled = held;
    this.#start = this.#end;
    this.#phase = "whole";
    this.#arm();
  }

  #answerWhole(body: Uint8Array): void {
    this.#whole = null;
    this.#answer(body);
  }

  #answer(body: Uint8Array | null): void {
    const exchange = this.#exchange!;
    const { status, headers } = this.#head!;
    this.#finish(exchange);
    exchange.succeed({ status, headers, body });
  }

  #stream(
    exchange: Exchange,
    options: { length: number; decoder?: ChunkedDecoder; first?: [number, number] },
  ): void {
    this.#phase = "stream";
    const { status, headers } = this.#head!;
    exchange.silence.stop();
    const body = new UpstreamBody({
      length: options.length,
      decoder: options.decoder ?? null,
      pending: options.first ?? null,
      window: {
        buffer: () => this.#buffer,
        start: () => this.#start,
        end: () => this.#end,
        consume: (to) => {
          this.#start = to;
        },
        more: () => {
          if (this.#eof) return body.ended();
          this.#touch(exchange);
          this.#arm();
        },
        arrived: () => exchange.silence.stop(),
        finished: () => this.#finish(exchange),
        failed: (error) => this.#shut(error),
      },
    });
    this.#body = body;
    exchange.succeed({ status, headers, body });
  }

  // ---- ending -------------------------------------------------------------------------------

  /** The answer is whole: back to the pool, unless something speaks against it. */
  #finish(exchange: Exchange): void {
    exchange.silence.stop();
    exchange.carrier = null;
    this.#exchange = null;
    this.#head = null;
    this.#body = null;
    this.served++;
    const sending = exchange.request.body;
    // Answered early: nobody is going to read the rest of the request.
    if (this.#writer.busy && sending !== null && !(sending instanceof Uint8Array)) sending.cancel();
    const reusable = this.#keepAlive && !this.#writer.busy && !this.#eof &&
      this.#start === this.#end;
    if (!reusable) return this.#shut(new UpstreamError("aborted", "not reusable"));
    this.#phase = "idle";
    this.#owner.released(this);
  }

  #sendFailed(exchange: Exchange, error: UpstreamError): void {
    if (this.#exchange !== exchange) return;
    // What the client did is told only here. What the endpoint did is told by the read: it may have
    // answered (say 413) before it stopped reading.
    if (error.kind === "request_body") return this.#shut(error);
    this.#keepAlive = false;
    if (!this.#reading && this.#phase !== "stream") this.#lost(error);
  }

  /** The connection failed or ended by itself. */
  #lost(cause: unknown): void {
    const exchange = this.#exchange;
    const unanswered = this.#phase === "head" && this.#end === this.#start &&
      this.#headBytes === 0;
    if (exchange !== null && unanswered && this.served > 0 && exchange.replayable()) {
      exchange.retried = true;
      exchange.carrier = null;
      exchange.silence.stop();
      this.#exchange = null;
      // Before it closes: a pool without connections and requests is dropped.
      this.#owner.retry(exchange, this);
      this.#shut(new UpstreamError("reset", "stale"));
      return;
    }
    this.#shut(new UpstreamError("reset", "closed by the endpoint", { cause, unanswered }));
  }

  #shut(error: UpstreamError): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    const exchange = this.#exchange;
    const body = this.#body;
    this.#exchange = null;
    this.#body = null;
    try {
      this.#conn.close();
    } catch {
      // Already closed.
    }
    this.#owner.closed(this);
    if (exchange === null) return;
    exchange.carrier = null;
    exchange.fail(error);
    if (body !== null) body.fail(error);
    const sending = exchange.request.body;
    if (sending !== null && !(sending instanceof Uint8Array)) sending.cancel(error);
  }
}
