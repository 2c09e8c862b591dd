/**
 * Own HTTP/1.1 client for the upstream hop: pools by address, streams both ways, never retries on
 * its own beyond a pooled connection that was already dead, never decodes content.
 */
import { type Clock, systemClock } from "../../lib/clock.ts";
import { DEFAULT_LIMITS, type Limits } from "../request/limits.ts";
import { connectEndpoint } from "./connect.ts";
import type { UpstreamConn } from "./connect.ts";
import { Deadlines } from "./deadlines.ts";
import { Exchange, type Target, type UpstreamRequest } from "./exchange.ts";
import { AddressPool } from "./pool.ts";

/** Settings of the client. */
export interface Http1ClientOptions {
  limits?: Limits;
  clock?: Pick<Clock, "monotonic">;
  /** Shared with the rest of the worker, or the client's own. */
  deadlines?: Deadlines;
  /** Called for every request that is sent a second time. */
  onRetry?: () => void;
  /** Does no endpoint set have the address in rotation? Then nothing idle is kept. */
  isRetired?: (target: { address: string; port: number }) => boolean;
  /** Opens a connection; tests replace it. */
  connect?: (address: string, port: number, signal: AbortSignal) => Promise<UpstreamConn>;
}

/** Pools by address and protocol; shared by all scopes, since plaintext carries no identity. */
export class Http1Client {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly #pools = new Map<string, AddressPool>();
  readonly #ownDeadlines: boolean;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #options: Http1ClientOptions;

  constructor(options: Http1ClientOptions = {}) {
    this.#options = options;
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.#clock = options.clock ?? systemClock;
    this.#ownDeadlines = options.deadlines === undefined;
    this.deadlines = options.deadlines ?? new Deadlines(this.#clock);
  }

  /** Starts an exchange with `address:port`; its `response` promise tells how it went. */
  exchange(target: Target, request: UpstreamRequest): Exchange {
    const exchange = new Exchange(request, target.load ?? null);
    this.pool(target).run(exchange);
    return exchange;
  }

  /** The pool of an address; made on first use, dropped when it is empty. */
  pool(target: { address: string; port: number }): AddressPool {
    const key = target.address + " " + target.port;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const created: AddressPool = new AddressPool({
        address: target.address,
        port: target.port,
        limits: this.limits,
        deadlines: this.deadlines,
        clock: this.#clock,
        connect: this.#options.connect ?? connectEndpoint,
        onRetry: this.#options.onRetry ?? (() => {}),
        retired: this.#options.isRetired?.(target) ?? false,
        onEmpty: () => {
          if (this.#pools.get(key) === created) this.#pools.delete(key);
        },
      });
      pool = created;
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Closes idle connections to an address that no set has in rotation; running ones finish. */
  setRetired(target: { address: string; port: number }, retired: boolean): void {
    this.#pools.get(target.address + " " + target.port)?.setRetired(retired);
  }

  /** Open connections over all pools, tunnels included. */
  connections(): number {
    let open = 0;
    for (const pool of this.#pools.values()) open += pool.open + pool.tunnels;
    return open;
  }

  /** Closes all connections and timers. */
  close(): void {
    for (const pool of [...this.#pools.values()]) pool.close();
    this.#pools.clear();
    if (this.#ownDeadlines) this.deadlines.close();
  }
}
