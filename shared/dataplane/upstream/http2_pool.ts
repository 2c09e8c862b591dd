/** The HTTP/2 connections to one address: as few as carry what is asked. */
import { Breaker } from "./breaker.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Http2Limits } from "../http2/limits.ts";
import type { Limits } from "../request/limits.ts";
import type { ByteStream } from "../serve/byte_stream.ts";
import { Deadline } from "./deadlines.ts";
import type { Deadlines } from "./deadlines.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange, ExchangeCarrier } from "./exchange.ts";
import { Http2Upstream } from "./http2_connection.ts";
import type { Http2Owner } from "./http2_connection.ts";
import type { SetLoad } from "./set_load.ts";

export interface Http2PoolOptions {
  address: string;
  port: number;
  limits: Limits;
  http2: Http2Limits;
  deadlines: Deadlines;
  clock: Pick<Clock, "monotonic">;
  /** Opens a connection; rejects when the signal aborts. */
  connect(address: string, port: number, signal: AbortSignal): Promise<ByteStream>;
  /** Called for every exchange that is sent a second time. */
  onRetry(): void;
  /** No endpoint set has the address in rotation when the pool is made. */
  retired: boolean;
  /** Nothing is open or waiting any more. */
  onEmpty(): void;
}

/**
 * Bounded like the pools of HTTP/1.1: `maxUpstreamConnections`, `maxPendingRequests` that wait for
 * room at most `connectTimeout` long; beyond that they fail with `overflow`.
 */
export class Http2Pool implements Http2Owner, ExchangeCarrier {
  readonly limits: Limits;
  readonly http2: Http2Limits;
  readonly deadlines: Deadlines;
  readonly clock: Pick<Clock, "monotonic">;
  readonly #options: Http2PoolOptions;
  /** Those that carry exchanges, the one to try first in front. */
  readonly #open = new Set<Http2Upstream>();
  readonly #connecting = new Set<AbortController>();
  readonly #waiting = new Set<Exchange>();
  readonly #breaker = new Breaker();
  #retired: boolean;

  constructor(options: Http2PoolOptions) {
    this.#options = options;
    this.#retired = options.retired;
    this.limits = options.limits;
    this.http2 = options.http2;
    this.deadlines = options.deadlines;
    this.clock = options.clock;
  }

  /** Open connections, those being opened included. */
  get open(): number {
    return this.#open.size + this.#connecting.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Runs an exchange on a connection with room, or has it wait for one. */
  run(exchange: Exchange): void {
    if (this.#waiting.size === 0) {
      for (const connection of this.#open) {
        if (connection.room > 0) return connection.start(exchange);
      }
    }
    const { load } = exchange;
    if (this.#waiting.size >= this.limits.maxPendingRequests) {
      const { address, port } = this.#options;
      if (this.#breaker.refused() && load !== null) load.opens.endpoint_pending++;
      return exchange.fail(new UpstreamError("overflow", `${address}:${port}: queue is full`));
    }
    this.#breaker.taken();
    const blocked = this.#full() || !this.#mayConnectFor(exchange);
    if (load !== null && !load.mayWait(blocked)) {
      const problem = "too many requests wait for the backend";
      return exchange.fail(new UpstreamError("overflow", problem));
    }
    exchange.carrier = this;
    exchange.waitingFor = blocked ? "overflow" : "connect_timeout";
    this.#waiting.add(exchange);
    if (load !== null) load.pending++;
    this.deadlines.start(exchange.silence, this.limits.connectTimeout);
    this.#grow();
  }

  /** The address is (or is no longer) in rotation. */
  setRetired(retired: boolean): void {
    this.#retired = retired;
    if (retired) { for (const connection of [...this.#open]) this.freed(connection); }
  }

  /** Closes the connections that carry nothing now. */
  closeIdle(): void {
    for (const connection of [...this.#open]) {
      if (connection.session.streams.size === 0) connection.retire();
    }
  }

  /** Closes everything; running exchanges fail with `aborted`. */
  close(): void {
    const error = new UpstreamError("aborted", "upstream client closed");
    for (const exchange of [...this.#waiting]) exchange.abort(error);
    for (const controller of this.#connecting) controller.abort(error);
    for (const connection of [...this.#open]) connection.close(error);
  }

  // ---- ExchangeCarrier: while it waits ------------------------------------------------------

  abandon(exchange: Exchange): void {
    this.#leave(exchange);
    this.#checkEmpty();
  }

  // ---- Http2Owner ---------------------------------------------------------------------------

  ready(connection: Http2Upstream): void {
    this.#serve(connection);
  }

  freed(connection: Http2Upstream): void {
    this.#serve(connection);
    if (this.#retired && connection.session.streams.size === 0) connection.retire();
  }

  closed(connection: Http2Upstream): void {
    this.#open.delete(connection);
    if (connection.load !== null) connection.load.connections--;
    connection.load = null;
    if (!connection.wasReady) {
      // It does not speak HTTP/2; another attempt would end the same way.
      this.#failWaiting(new UpstreamError("protocol", "the endpoint does not speak HTTP/2"));
    }
    this.#grow();
    this.#checkEmpty();
  }

  retry(exchange: Exchange): void {
    this.#options.onRetry();
    this.run(exchange);
  }

  // -------------------------------------------------------------------------------------------

  #serve(connection: Http2Upstream): void {
    for (const exchange of this.#waiting) {
      if (connection.room <= 0) break;
      this.#leave(exchange);
      exchange.silence.stop();
      connection.start(exchange);
    }
    this.#grow();
  }

  /** Takes an exchange out of the queue. */
  #leave(exchange: Exchange): void {
    if (this.#waiting.delete(exchange) && exchange.load !== null) exchange.load.pending--;
  }

  /** Has the set room for a connection? One to each endpoint it always has. */
  #mayConnectFor({ load }: Exchange): boolean {
    return load === null || this.open === 0 || load.mayConnect();
  }

  #full(): boolean {
    return this.open >= this.limits.maxUpstreamConnections;
  }

  /** Opens connections for what waits, as many as are needed if each takes all that it may. */
  #grow(): void {
    let coming = this.#connecting.size;
    for (const connection of this.#open) {
      if (connection.wasReady) {
        // Nothing was asked of it, and it takes nothing: more of the kind would not help.
        if (!connection.retired && connection.session.streams.size === 0 && connection.room <= 0) {
          return;
        }
      } else coming++;
    }
    while (coming * this.http2.maxStreams < this.#waiting.size && !this.#full()) {
      const [first] = this.#waiting;
      if (first === undefined || !this.#mayConnectFor(first)) return;
      coming++;
      this.#connect(first.load);
    }
  }

  #connect(load: SetLoad | null): void {
    const { address, port } = this.#options;
    if (load !== null) load.connections++;
    const controller = new AbortController();
    const deadline = new Deadline(() =>
      controller.abort(new UpstreamError("connect_timeout", "connect timed out"))
    );
    this.deadlines.start(deadline, this.limits.connectTimeout);
    this.#connecting.add(controller);
    this.#options.connect(address, port, controller.signal).then((stream) => {
      deadline.stop();
      this.#connecting.delete(controller);
      if (controller.signal.aborted) {
        if (load !== null) load.connections--;
        return stream.destroy();
      }
      const connection = new Http2Upstream(stream, this);
      connection.load = load;
      this.#open.add(connection);
      void connection.run();
    }, (error) => {
      deadline.stop();
      this.#connecting.delete(controller);
      if (load !== null) load.connections--;
      const cause = error instanceof UpstreamError ? error : new UpstreamError(
        "connect",
        `${address}:${port}: connect failed`,
        { cause: error },
      );
      this.#failWaiting(cause);
      this.#checkEmpty();
    });
  }

  /** One attempt that failed fails all that waited for it: there is one for many. */
  #failWaiting(error: UpstreamError): void {
    let share = this.http2.maxStreams;
    for (const exchange of [...this.#waiting]) {
      if (share-- === 0) break;
      exchange.abort(error);
    }
  }

  #checkEmpty(): void {
    if (this.open === 0 && this.#waiting.size === 0) this.#options.onEmpty();
  }
}
