/**
 * Own HTTP/2 client for the upstream hop, with prior knowledge (h2c) or over TLS by ALPN: many exchanges on few
 * connections, behind the same face as the HTTP/1.1 client.
 */
import { type Clock, systemClock } from "../../lib/clock.ts";
import { HTTP2_LIMITS } from "../http2/limits.ts";
import type { Http2Limits } from "../http2/limits.ts";
import { DEFAULT_LIMITS, type Limits } from "../request/limits.ts";
import type { ByteStream } from "../serve/byte_stream.ts";
import { TcpStream } from "../serve/tcp_stream.ts";
import { TlsStream } from "../serve/tls_stream.ts";
import { connectEndpoint } from "./connect.ts";
import { Deadlines } from "./deadlines.ts";
import { Exchange, type Target, type UpstreamRequest } from "./exchange.ts";
import { Http2Pool } from "./http2_pool.ts";
import { PoolMap, type PoolTarget } from "./pool_map.ts";
import { connectTls } from "./tls_connect.ts";
import type { ProfileObserver, TlsProfile } from "./tls_profiles.ts";

/** Settings of the client. */
export interface Http2ClientOptions {
  limits?: Limits;
  http2?: Http2Limits;
  clock?: Pick<Clock, "monotonic">;
  /** Shared with the rest of the worker, or the client's own. */
  deadlines?: Deadlines;
  /** Called for every request that is sent a second time. */
  onRetry?: () => void;
  /** Does no endpoint set have the address in rotation? Then nothing idle is kept. */
  isRetired?: (target: { address: string; port: number }) => boolean;
}

/** Shared by all scopes: plaintext carries no identity, and over TLS the profile is the identity. */
export class Http2Client implements ProfileObserver {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly #pools = new PoolMap<Http2Pool>();
  readonly #ownDeadlines: boolean;
  readonly #options: Http2ClientOptions;

  constructor(options: Http2ClientOptions = {}) {
    this.#options = options;
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.#ownDeadlines = options.deadlines === undefined;
    this.deadlines = options.deadlines ?? new Deadlines(options.clock ?? systemClock);
  }

  /** Starts an exchange with `address:port`; its `response` promise tells how it went. */
  exchange(target: Target, request: UpstreamRequest, tls: TlsProfile | null = null): Exchange {
    const exchange = new Exchange(request, target.load ?? null);
    this.#pool(target, tls).run(exchange);
    return exchange;
  }

  /** Closes idle connections to an address that no set has in rotation; running ones finish. */
  setRetired(target: PoolTarget, retired: boolean): void {
    this.#pools.setRetired(target, retired);
  }

  closeIdle(profile: string): void {
    this.#pools.closeIdle(profile);
  }

  /** Open connections over all pools. */
  connections(): number {
    let open = 0;
    for (const pool of this.#pools.values()) open += pool.open;
    return open;
  }

  /** Closes all connections and timers. */
  close(): void {
    this.#pools.close();
    if (this.#ownDeadlines) this.deadlines.close();
  }

  /** Made on first use, dropped when it is empty. */
  #pool(target: PoolTarget, tls: TlsProfile | null): Http2Pool {
    const known = this.#pools.get(target, tls);
    if (known !== undefined) return known;
    const { clock, http2, onRetry } = this.#options;
    const { address, port } = target;
    const pool: Http2Pool = new Http2Pool({
      address,
      port,
      limits: this.limits,
      http2: http2 ?? HTTP2_LIMITS,
      deadlines: this.deadlines,
      clock: clock ?? systemClock,
      connect: tls === null
        ? connectStream
        : (address, port, signal) => connectSecured({ address, port, profile: tls, signal }),
      onRetry: onRetry ?? (() => {}),
      retired: this.#options.isRetired?.(target) ?? false,
      onEmpty: () => this.#pools.delete({ address, port }, tls, pool),
    });
    this.#pools.set(target, tls, pool);
    return pool;
  }
}

async function connectStream(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<ByteStream> {
  return new TcpStream(await connectEndpoint(address, port, signal));
}

async function connectSecured(
  target: { address: string; port: number; profile: TlsProfile; signal: AbortSignal },
): Promise<ByteStream> {
  return new TlsStream(await connectTls({ ...target, protocol: "h2" }));
}
