/** The server's side of an HTTP/2 connection: streams are requests, handled side by side. */
import type { Clock } from "../../lib/clock.ts";
import { COOKIE } from "../http2/header_field.ts";
import type { FieldBlock } from "../http2/hpack_decoder.ts";
import { HTTP2_LIMITS } from "../http2/limits.ts";
import type { Http2Limit, Http2Limits } from "../http2/limits.ts";
import { requestHead } from "../http2/message_head.ts";
import * as h2 from "../http2/protocol.ts";
import { Session } from "../http2/session.ts";
import type { SessionRole } from "../http2/session.ts";
import type { InboundConnection } from "../request/types.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { Http1Options, LimitName } from "./http1_connection.ts";
import { ServerStream } from "./http2_stream.ts";

/** What every connection of the engine shares. */
export interface Http2Options extends Omit<Http1Options, "buffers" | "ending"> {
  clock: Pick<Clock, "monotonic">;
  http2?: Http2Limits;
}

/** A connection being served. */
export interface ServedHttp2 {
  /** Resolves when it is closed; never rejects. */
  readonly finished: Promise<void>;
  /** Lets running requests finish, then closes. */
  drain(): Promise<void>;
  /** Closes at once. */
  abort(): void;
}

/** Milliseconds until a draining client must have said that it knows. */
const DRAIN_NOTICE = 1_000;
const DRAIN_PING = new Uint8Array(8);

/**
 * Serves a connection until it is gone.
 *
 * @param stream from the first byte on, the client's preface included
 */
export function openHttp2(
  stream: ByteStream,
  info: InboundConnection,
  options: Http2Options,
): ServedHttp2 {
  const connection = new Http2Connection(stream, info, options);
  const finished = connection.serve();
  return {
    finished,
    drain: () => {
      connection.drain();
      return finished;
    },
    abort: () => connection.session.destroy(),
  };
}

/** @internal */
export class Http2Connection implements SessionRole {
  readonly side = "server";
  readonly session: Session;
  readonly info: InboundConnection;
  readonly options: Http2Options;
  /** Requests whose handler has not answered yet, those of streams that are gone included. */
  running = 0;
  readonly #limits: Http2Limits;
  readonly #deadline: Deadline;
  /** What the running deadline stands for. */
  #limit: LimitName | null = "head_timeout";
  #draining: "no" | "noticed" | "yes" = "no";

  constructor(stream: ByteStream, info: InboundConnection, options: Http2Options) {
    this.info = info;
    this.options = options;
    this.#limits = options.http2 ?? HTTP2_LIMITS;
    const { deadlines, clock, limits } = options;
    this.session = new Session(stream, this, {
      deadlines,
      clock,
      limits: this.#limits,
      maxHeadBytes: limits.maxHeadBytes,
      sendIdleTimeout: limits.responseIdleTimeout,
    });
    this.#deadline = new Deadline(() => this.#expired());
  }

  async serve(): Promise<void> {
    this.#within("head_timeout", this.options.limits.headTimeout);
    this.session.start([
      [h2.MAX_CONCURRENT_STREAMS, this.#limits.maxStreams],
      // RFC 8441 §3: WebSockets, and whatever else goes on where a request was.
      [h2.ENABLE_CONNECT_PROTOCOL, 1],
    ]);
    await this.session.run();
    this.#deadline.stop();
  }

  /**
   * Tells the client to open no more streams, in two steps: what it had sent before it knew is still
   * served (RFC 9113 §6.8). The answer to a PING says that it knows.
   */
  drain(): void {
    if (this.#draining !== "no" || this.session.over) return;
    this.#draining = "noticed";
    const { out } = this.session.sender;
    out.goaway(h2.MAX_WINDOW, h2.ErrorCode.NO_ERROR);
    out.ping(DRAIN_PING, false);
    this.session.sender.schedule();
    this.#within(null, DRAIN_NOTICE);
  }

  limit(limit: Http2Limit | "response_timeout"): void {
    this.options.onLimit(limit);
  }

  // ---- SessionRole --------------------------------------------------------------------------

  ready(): void {
    if (this.#draining !== "no") return;
    this.#deadline.stop();
    this.changed();
  }

  opened(id: number, block: FieldBlock, endStream: boolean): void {
    const { session, options } = this;
    session.begun(id);
    // After the last GOAWAY: the client knows, or will, that it may send these elsewhere.
    if (this.#draining === "yes") return session.refuse(id, h2.ErrorCode.REFUSED_STREAM);
    const { maxStreams } = this.#limits;
    // A stream that is reset is over at once, what was begun for it only soon.
    if (session.streams.size >= maxStreams || this.running >= 2 * maxStreams) {
      options.onLimit("h2_streams");
      return session.refuse(id, h2.ErrorCode.REFUSED_STREAM);
    }
    const large = block.tooLarge || tooMany(block, options.limits.maxHeaders);
    const head = large ? null : requestHead(block.fields, true);
    if (this.#draining === "no") this.#deadline.stop();
    const stream = new ServerStream(this, id);
    if (head === null) {
      options.onLimit("head_bytes");
      return stream.refuse(431, endStream);
    }
    stream.begin(head, endStream);
  }

  blockPending(pending: boolean): void {
    if (this.#draining !== "no") return;
    if (pending) this.#within("head_timeout", this.options.limits.headTimeout);
    else {
      this.#deadline.stop();
      this.changed();
    }
  }

  /** Without streams the connection is idle: it ends when it drains, or soon. */
  changed(): void {
    if (this.session.streams.size > 0) return;
    if (this.#draining === "yes") return this.session.finish();
    if (this.#draining === "no" && !this.#deadline.active) {
      this.#within("keep_alive_timeout", this.options.limits.keepAliveTimeout);
    }
  }

  goaway(): void {
    // The client opens no more streams, and closes when it has its answers.
  }

  pingAcked(): void {
    if (this.#draining === "noticed") this.#lastCall();
  }

  // -------------------------------------------------------------------------------------------

  #lastCall(): void {
    this.#draining = "yes";
    this.#deadline.stop();
    this.session.lastCall();
    this.changed();
  }

  #expired(): void {
    if (this.#draining === "noticed") return this.#lastCall();
    if (this.#limit !== null) this.options.onLimit(this.#limit);
    // RFC 9113 §9.1: GOAWAY first, so that a client knows what was processed.
    this.session.fail(h2.ErrorCode.NO_ERROR);
  }

  #within(limit: LimitName | null, ms: number): void {
    this.#limit = limit;
    this.options.deadlines.start(this.#deadline, ms);
  }
}

/** The parts of a cookie count as one: HTTP/2 cuts it up for compression only. */
function tooMany({ fields }: FieldBlock, max: number): boolean {
  if (fields.length <= max) return false;
  let count = 1;
  for (const { kind } of fields) if (kind !== COOKIE) count++;
  return count > max;
}
