/** One multiplexed connection to an endpoint. */
import type { Clock } from "../../lib/clock.ts";
import type { FieldBlock } from "../http2/hpack_decoder.ts";
import type { Http2Limits } from "../http2/limits.ts";
import * as h2 from "../http2/protocol.ts";
import { Session } from "../http2/session.ts";
import type { SessionRole } from "../http2/session.ts";
import type { Limits } from "../request/limits.ts";
import type { ByteStream } from "../serve/byte_stream.ts";
import { Deadline } from "./deadlines.ts";
import type { Deadlines } from "./deadlines.ts";
import type { UpstreamError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { ClientStream } from "./http2_stream.ts";
import type { SetLoad } from "./set_load.ts";

/** What a connection tells its pool. */
export interface Http2Owner {
  readonly limits: Limits;
  readonly http2: Http2Limits;
  readonly deadlines: Deadlines;
  readonly clock: Pick<Clock, "monotonic">;
  /** The endpoint's settings are here: it can carry exchanges. */
  ready(connection: Http2Upstream): void;
  /** There may be room for another exchange. */
  freed(connection: Http2Upstream): void;
  closed(connection: Http2Upstream): void;
  retry(exchange: Exchange): void;
}

export class Http2Upstream implements SessionRole {
  readonly side = "client";
  readonly session: Session;
  /** Streams that came to an end. */
  served = 0;
  /** The set for whose request it was opened; the pool's to keep. */
  load: SetLoad | null = null;
  readonly #owner: Http2Owner;
  readonly #idle: Deadline;
  /** The endpoint's settings arrived, so it speaks HTTP/2. */
  wasReady = false;
  /** It carries no new exchanges. */
  #retired = false;

  constructor(stream: ByteStream, owner: Http2Owner) {
    this.#owner = owner;
    const { deadlines, clock, http2, limits } = owner;
    this.#idle = new Deadline(() => this.session.fail(h2.ErrorCode.NO_ERROR));
    this.session = new Session(stream, this, {
      deadlines,
      clock,
      limits: http2,
      maxHeadBytes: limits.maxHeadBytes,
      sendIdleTimeout: limits.responseIdleTimeout,
    });
  }

  /** Serves the connection until it is gone. */
  async run(): Promise<void> {
    this.session.start([[h2.ENABLE_PUSH, 0]]);
    await this.session.run();
    this.#idle.stop();
    this.#owner.closed(this);
  }

  /** How many more exchanges it can carry now. */
  get room(): number {
    if (!this.wasReady || this.#retired || this.session.over) return 0;
    const { maxStreams } = this.#owner.http2;
    return Math.min(maxStreams, this.session.peer.maxConcurrentStreams) - this.session.streams.size;
  }

  get retired(): boolean {
    return this.#retired || this.session.over;
  }

  get deadlines(): Deadlines {
    return this.#owner.deadlines;
  }

  get responseIdleTimeout(): number {
    return this.#owner.limits.responseIdleTimeout;
  }

  get maxHeaders(): number {
    return this.#owner.limits.maxHeaders;
  }

  start(exchange: Exchange): void {
    this.#idle.stop();
    new ClientStream(this, exchange).start();
  }

  nextStream(): number {
    const { lastOwnStream } = this.session;
    const next = lastOwnStream === 0 ? 1 : lastOwnStream + 2;
    // Numbers are not used twice (RFC 9113 §5.1.1).
    if (next > h2.MAX_WINDOW - 4) this.#retired = true;
    return next;
  }

  /** Carries no new exchanges, and closes when the running ones are over. */
  retire(): void {
    this.#retired = true;
    if (this.session.streams.size === 0) this.session.fail(h2.ErrorCode.NO_ERROR);
  }

  /** Closes at once; running exchanges fail with `error`. */
  close(error: UpstreamError): void {
    for (const stream of [...this.session.streams.values()]) {
      if (stream.owner instanceof ClientStream) stream.owner.end(error);
    }
    this.session.destroy();
  }

  retry(exchange: Exchange): void {
    exchange.retried = true;
    this.#owner.retry(exchange);
  }

  // ---- SessionRole --------------------------------------------------------------------------

  ready(): void {
    this.wasReady = true;
    this.#owner.ready(this);
  }

  opened(_id: number, _block: FieldBlock, _endStream: boolean): void {
    // Only clients open streams.
  }

  blockPending(): void {
    // The exchange's own deadline runs.
  }

  changed(): void {
    if (!this.wasReady) return;
    const { size } = this.session.streams;
    if (size === 0) {
      if (this.#retired) return this.retire();
      const { deadlines, limits } = this.#owner;
      deadlines.start(this.#idle, limits.upstreamIdleTimeout);
    }
    this.#owner.freed(this);
  }

  goaway(last: number): void {
    this.#retired = true;
    for (const stream of [...this.session.streams.values()]) {
      // RFC 9113 §6.8: these were not processed.
      if (stream.id > last) this.session.wasReset(stream, h2.ErrorCode.REFUSED_STREAM);
    }
    if (this.session.streams.size === 0) this.retire();
  }

  pingAcked(): void {
    // We do not ask.
  }

  limit(): void {
    // The connection ends with it, and each exchange on it tells of that.
  }
}
