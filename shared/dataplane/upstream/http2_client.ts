/**
 * Own HTTP/2 client for the upstream hop, with prior knowledge (h2c): many exchanges on few
 * connections, behind the same face as the HTTP/1.1 client.
 */
import { type Clock, systemClock } from "../../lib/clock.ts";
import { HTTP2_LIMITS } from "../http2/limits.ts";
import type { Http2Limits } from "../http2/limits.ts";
import { DEFAULT_LIMITS, type Limits } from "../request/limits.ts";
import type { ByteStream } from "../serve/byte_stream.ts";
import { TcpStream } from "../serve/tcp_stream.ts";
import { connectEndpoint } from "./connect.ts";
import { Deadlines } from "./deadlines.ts";
import { Exchange, type Target, type UpstreamRequest } from "./exchange.ts";
import { Http2Pool } from "./http2_pool.ts";

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

/** Pools by address; shared by all scopes, since plaintext carries no identity. */
export class Http2Client {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
  readonly #pools = new Map<string, Http2Pool>();
  readonly #ownDeadlines: boolean;
  readonly #options: Http2ClientOptions;

  constructor(options: Http2ClientOptions = {}) {
    this.#options = options;
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.#ownDeadlines = options.deadlines === undefined;
    this.deadlines = options.deadlines ?? new Deadlines(options.clock ?? systemClock);
  }

  /** Starts an exchange with `address:port`; its `response` promise tells how it went. */
  exchange(target: Target, request: UpstreamRequest): Exchange {
    const exchange = new Exchange(request, target.load ?? null);
    this.#pool(target).run(exchange);
    return exchange;
  }

  /** Closes idle connections to an address that no set has in rotation; running ones finish. */
  setRetired(target: { address: string; port: number }, retired: boolean): void {
    this.#pools.get(keyOf(target))?.setRetired(retired);
  }

  /** Open connections over all pools. */
  connections(): number {
    let open = 0;
    for (const pool of this.#pools.values()) open += pool.open;
    return open;
  }

  /** Closes all connections and timers. */
  close(): void {
    for (const pool of [...this.#pools.values()]) pool.close();
    this.#pools.clear();
    if (this.#ownDeadlines) this.deadlines.close();
  }

  /** Made on first use, dropped when it is empty. */
  #pool(target: { address: string; port: number }): Http2Pool {
    const key = keyOf(target);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const { clock, http2, onRetry } = this.#options;
    const pool = new Http2Pool({
      address: target.address,
      port: target.port,
      limits: this.limits,
      http2: http2 ?? HTTP2_LIMITS,
      deadlines: this.deadlines,
      clock: clock ?? systemClock,
      connect: connectStream,
      onRetry: onRetry ?? (() => {}),
      retired: this.#options.isRetired?.(target) ?? false,
      onEmpty: () => {
        if (this.#pools.get(key) === pool) this.#pools.delete(key);
      },
    });
    this.#pools.set(key, pool);
    return pool;
  }
}

function keyOf(target: { address: string; port: number }): string {
  return target.address + " " + target.port;
}

async function connectStream(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<ByteStream> {
  return new TcpStream(await connectEndpoint(address, port, signal));
}
