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
import { PoolMap, type PoolTarget } from "./pool_map.ts";
import { connectTls, TlsConn } from "./tls_connect.ts";
import type { ProfileObserver, TlsProfile } from "./tls_profiles.ts";

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

/** Shared by all scopes: plaintext carries no identity, and over TLS the profile is the identity. */
export class Http1Client implements ProfileObserver {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly #pools = new PoolMap<AddressPool>();
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
  exchange(target: Target, request: UpstreamRequest, tls: TlsProfile | null = null): Exchange {
    const exchange = new Exchange(request, target.load ?? null);
    this.pool(target, tls).run(exchange);
    return exchange;
  }

  /** The pool of an address; made on first use, dropped when it is empty. */
  pool(target: PoolTarget, tls: TlsProfile | null = null): AddressPool {
    const known = this.#pools.get(target, tls);
    if (known !== undefined) return known;
    const { address, port } = target;
    const pool: AddressPool = new AddressPool({
      address,
      port,
      limits: this.limits,
      deadlines: this.deadlines,
      clock: this.#clock,
      connect: tls === null
        ? this.#options.connect ?? connectEndpoint
        : (address, port, signal) => connectSecured({ address, port, profile: tls, signal }),
      onRetry: this.#options.onRetry ?? (() => {}),
      retired: this.#options.isRetired?.(target) ?? false,
      onEmpty: () => this.#pools.delete({ address, port }, tls, pool),
    });
    this.#pools.set(target, tls, pool);
    return pool;
  }

  /** Closes idle connections to an address that no set has in rotation; running ones finish. */
  setRetired(target: PoolTarget, retired: boolean): void {
    this.#pools.setRetired(target, retired);
  }

  closeIdle(profile: string): void {
    this.#pools.closeIdle(profile);
  }

  /** Open connections over all pools, tunnels included. */
  connections(): number {
    let open = 0;
    for (const pool of this.#pools.values()) open += pool.open + pool.tunnels;
    return open;
  }

  /** Closes all connections and timers. */
  close(): void {
    this.#pools.close();
    if (this.#ownDeadlines) this.deadlines.close();
  }
}

async function connectSecured(
  target: { address: string; port: number; profile: TlsProfile; signal: AbortSignal },
): Promise<UpstreamConn> {
  return new TlsConn(await connectTls({ ...target, protocol: "http/1.1" }));
}
