/** The connections to one address, reused last in, first out: the busiest stay warm. */
import { Breaker } from "./breaker.ts";
import type { UpstreamConn } from "./connect.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Limits } from "../request/limits.ts";
import { type ConnectionOwner, UpstreamConnection } from "./connection.ts";
import { Deadline, type Deadlines } from "./deadlines.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange, ExchangeCarrier } from "./exchange.ts";
import type { UpstreamTunnel } from "./tunnel.ts";

/** What a pool needs. */
export interface PoolOptions {
  address: string;
  port: number;
  limits: Limits;
  deadlines: Deadlines;
  clock: Pick<Clock, "monotonic">;
  /** Opens a connection; rejects when the signal aborts. */
  connect(address: string, port: number, signal: AbortSignal): Promise<UpstreamConn>;
  /** Called for every exchange that is sent a second time. */
  onRetry(): void;
  /** No endpoint set has the address in rotation when the pool is made. */
  retired: boolean;
  /** Nothing is open or waiting any more. */
  onEmpty(pool: AddressPool): void;
}

/**
 * Bounded by `maxUpstreamConnections`; requests beyond wait, at most `maxPendingRequests` of them
 * and at most `connectTimeout` long; beyond that they fail with `overflow`.
 */
export class AddressPool implements ConnectionOwner, ExchangeCarrier {
  readonly address: string;
  readonly port: number;
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly #options: PoolOptions;
  readonly #idle: UpstreamConnection[] = [];
  readonly #busy = new Set<UpstreamConnection>();
  readonly #tunnels = new Set<UpstreamTunnel>();
  /** Waiting for a connection, first come, first served. */
  readonly #waiting = new Set<Exchange>();
  readonly #connecting = new Set<AbortController>();
  readonly #sweep: Deadline;
  readonly #breaker = new Breaker();
  /** No endpoint set has this address in rotation: nothing idle is kept. */
  #retired: boolean;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.address = options.address;
    this.port = options.port;
    this.limits = options.limits;
    this.deadlines = options.deadlines;
    this.#sweep = new Deadline(() => this.#closeOldest());
    this.#retired = options.retired;
  }

  /** Open connections, those being opened included. */
  get open(): number {
    return this.#idle.length + this.#busy.size + this.#connecting.size;
  }

  /** Connections that switched protocols; they last long and do not count as open. */
  get tunnels(): number {
    return this.#tunnels.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Runs an exchange on an idle or a new connection, or queues it. */
  run(exchange: Exchange): void {
    if (exchange.request.upgrade !== undefined) return this.#runUpgrade(exchange);
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.isClosed) continue;
      this.#busy.add(idle);
      return idle.start(exchange);
    }
    this.#enqueue(exchange);
  }

  /** The address is (or is no longer) in rotation. */
  setRetired(retired: boolean): void {
    this.#retired = retired;
    if (retired) this.closeIdle();
  }

  /** Closes the connections that carry nothing now. */
  closeIdle(): void {
    for (const connection of [...this.#idle]) connection.close();
    this.#checkEmpty();
  }

  /** Closes everything; running exchanges fail with `aborted`. */
  close(): void {
    this.#sweep.stop();
    const error = new UpstreamError("aborted", "upstream client closed");
    for (const exchange of this.#waiting) exchange.abort(error);
    for (const controller of this.#connecting) controller.abort(error);
    for (const connection of [...this.#idle, ...this.#busy]) connection.close(error);
    for (const tunnel of this.#tunnels) tunnel.fail(error);
  }

  /**
   * On a new connection, which nobody closed meanwhile, unless there may be no more: what is offered
   * to an endpoint is seldom safe to repeat.
   */
  #runUpgrade(exchange: Exchange): void {
    if (this.#tunnels.size < this.limits.maxTunnels) return this.#enqueue(exchange);
    const problem = `${this.address}:${this.port}: too many tunnels`;
    exchange.fail(new UpstreamError("overflow", problem));
  }

  // ---- ConnectionOwner ----------------------------------------------------------------------

  released(connection: UpstreamConnection): void {
    this.#busy.delete(connection);
    const next = this.#shift();
    if (next !== undefined) {
      this.#busy.add(connection);
      return connection.start(next);
    }
    if (this.#retired) return connection.close();
    connection.idleSince = this.#options.clock.monotonic();
    this.#idle.push(connection);
    connection.watch();
    if (!this.#sweep.active) this.deadlines.start(this.#sweep, this.limits.upstreamIdleTimeout);
  }

  closed(connection: UpstreamConnection): void {
    if (connection.load !== null) connection.load.connections--;
    connection.load = null;
    if (!this.#busy.delete(connection)) {
      const at = this.#idle.indexOf(connection);
      if (at !== -1) this.#idle.splice(at, 1);
    }
    if (this.#waiting.size > 0) this.#open();
    else this.#checkEmpty();
  }

  switched(connection: UpstreamConnection, tunnel: UpstreamTunnel): void {
    this.#tunnels.add(tunnel);
    this.closed(connection);
  }

  tunnelClosed(tunnel: UpstreamTunnel): void {
    this.#tunnels.delete(tunnel);
    this.#checkEmpty();
  }

  retry(exchange: Exchange, connection: UpstreamConnection): void {
    this.#options.onRetry();
    // It makes room for the one that takes its place.
    this.#busy.delete(connection);
    if (connection.load !== null) connection.load.connections--;
    connection.load = null;
    // A fresh connection: others of the pool are likely to be as dead.
    this.#enqueue(exchange);
  }

  // ---- ExchangeCarrier: while it waits ------------------------------------------------------

  abandon(exchange: Exchange): void {
    this.#leave(exchange);
  }

  // -------------------------------------------------------------------------------------------

  #enqueue(exchange: Exchange): void {
    const { load } = exchange;
    const full = this.open >= this.limits.maxUpstreamConnections;
    if (full && this.#waiting.size >= this.limits.maxPendingRequests) {
      if (this.#breaker.refused() && load !== null) load.opens.endpoint_pending++;
      exchange.fail(new UpstreamError("overflow", `${this.address}:${this.port}: queue is full`));
      return;
    }
    this.#breaker.taken();
    const blocked = full || !this.#mayConnectFor(exchange);
    if (load !== null && !load.mayWait(blocked)) {
      exchange.fail(new UpstreamError("overflow", "too many requests wait for the backend"));
      return;
    }
    exchange.carrier = this;
    exchange.waitingFor = blocked ? "overflow" : "connect_timeout";
    this.#waiting.add(exchange);
    if (load !== null) load.pending++;
    this.deadlines.start(exchange.silence, this.limits.connectTimeout);
    this.#open();
  }

  /** Takes an exchange out of the queue. */
  #leave(exchange: Exchange): void {
    if (this.#waiting.delete(exchange) && exchange.load !== null) exchange.load.pending--;
  }

  #shift(): Exchange | undefined {
    for (const exchange of this.#waiting) {
      this.#leave(exchange);
      exchange.silence.stop();
      return exchange;
    }
    return undefined;
  }

  /**
   * Has the set room for a connection? One to each endpoint it always has: a request that was sent
   * here must not wait for connections to other endpoints.
   */
  #mayConnectFor({ load }: Exchange): boolean {
    return load === null || this.open === 0 || load.mayConnect();
  }

  /** Opens a connection unless as many are being opened as requests wait. */
  #open(): void {
    if (this.#connecting.size >= this.#waiting.size) return;
    if (this.open >= this.limits.maxUpstreamConnections) return;
    const [first] = this.#waiting;
    if (first === undefined || !this.#mayConnectFor(first)) return;
    const { load } = first;
    if (load !== null) load.connections++;
    const controller = new AbortController();
    const deadline = new Deadline(() =>
      controller.abort(new UpstreamError("connect_timeout", "connect timed out"))
    );
    this.deadlines.start(deadline, this.limits.connectTimeout);
    this.#connecting.add(controller);
    this.#options.connect(this.address, this.port, controller.signal).then((conn) => {
      deadline.stop();
      this.#connecting.delete(controller);
      if (controller.signal.aborted) {
        if (load !== null) load.connections--;
        return conn.close();
      }
      // Nagle's algorithm would hold the second write of a request back.
      const connection = new UpstreamConnection(conn, this);
      connection.load = load;
      this.released(connection);
    }, (error) => {
      deadline.stop();
      this.#connecting.delete(controller);
      if (load !== null) load.connections--;
      const failure = error instanceof UpstreamError ? error : new UpstreamError(
        "connect",
        `${this.address}:${this.port}: connect failed`,
        { cause: error },
      );
      // One failed attempt fails one request: the others have attempts of their own.
      this.#shift()?.abort(failure);
      if (this.#waiting.size > 0) this.#open();
      else this.#checkEmpty();
    });
  }

  /** Closes what has been idle for long; the oldest are at the front. */
  #closeOldest(): void {
    const limit = this.#options.clock.monotonic() - this.limits.upstreamIdleTimeout;
    while (this.#idle.length > 0 && this.#idle[0]!.idleSince <= limit) this.#idle[0]!.close();
    if (this.#idle.length > 0) this.deadlines.start(this.#sweep, this.limits.upstreamIdleTimeout);
  }

  #checkEmpty(): void {
    if (this.open === 0 && this.#waiting.size === 0 && this.#tunnels.size === 0) {
      this.#sweep.stop();
      this.#options.onEmpty(this);
    }
  }
}
