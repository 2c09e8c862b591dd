/** For tests: HTTP/2 connections served over plain TCP, and clients that speak frames to them. */
import { systemClock } from "../../lib/clock.ts";
import type { Clock } from "../../lib/clock.ts";
import { HTTP2_LIMITS } from "../http2/limits.ts";
import type { Http2Limits } from "../http2/limits.ts";
import { PREFACE, settings, TestPeer } from "../http2/testing_peer.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import type { Limits } from "../request/limits.ts";
import type { InboundConnection, RequestHandler, ResponseOutcome } from "../request/types.ts";
import { Deadlines } from "../upstream/deadlines.ts";
import { TcpStream } from "./tcp_stream.ts";
import { openHttp2 } from "./http2_connection.ts";
import type { ServedHttp2 } from "./http2_connection.ts";
import type { Handle } from "./testing_http1.ts";

export interface Http2Server {
  port: number;
  limits: string[];
  outcomes: ResponseOutcome[];
  connections: ServedHttp2[];
  /** Resolves when every connection has been served to its end. */
  served(): Promise<void>;
  /** A client whose preface and SETTINGS are sent. */
  dial(...values: readonly (readonly [number, number])[]): Promise<TestPeer>;
  /** A client that has sent nothing. */
  raw(): Promise<TestPeer>;
}

export interface Http2ServerOptions {
  limits?: Partial<Limits>;
  http2?: Partial<Http2Limits>;
  clock?: Pick<Clock, "monotonic">;
  /** Instead of `handle`: a whole core. */
  handler?: RequestHandler;
  info?: Partial<InboundConnection>;
}

/** Serves connections with `handle` while `use` runs; clients made by `dial` are closed after it. */
export async function withHttp2(
  handle: Handle,
  use: (server: Http2Server) => Promise<void>,
  options: Http2ServerOptions = {},
): Promise<void> {
  const deadlines = new Deadlines(systemClock);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const clients: TestPeer[] = [];
  const raw = async () => {
    const client = new TestPeer(
      await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    );
    clients.push(client);
    return client;
  };
  const server: Http2Server = {
    port: listener.addr.port,
    limits: [],
    outcomes: [],
    connections: [],
    async served() {
      await Promise.all(server.connections.map(({ finished }) => finished));
    },
    raw,
    async dial(...values) {
      const client = await raw();
      await client.send(PREFACE, settings(...values));
      return client;
    },
  };
  const handler: RequestHandler = options.handler ?? (async (request) => ({
    status: 200,
    headers: [],
    body: null,
    upgrade: "",
    close: false,
    done: (outcome) => server.outcomes.push(outcome),
    ...await handle(request),
  }));
  const accepting = (async () => {
    for await (const conn of listener) {
      const info: InboundConnection = {
        scheme: "http",
        remoteAddress: conn.remoteAddr.hostname,
        remotePort: conn.remoteAddr.port,
        port: 80,
        scope: "gateway/ns/gw",
        sni: "",
        table: () => undefined,
        snapshotVersion: () => 1,
        ...options.info,
      };
      server.connections.push(openHttp2(new TcpStream(conn), info, {
        handler,
        limits: { ...DEFAULT_LIMITS, ...options.limits },
        http2: { ...HTTP2_LIMITS, ...options.http2 },
        deadlines,
        clock: options.clock ?? systemClock,
        onLimit: (limit) => server.limits.push(limit),
        date: () => "Thu, 01 Jan 1970 00:00:00 GMT",
      }));
    }
  })();
  try {
    await use(server);
  } finally {
    for (const client of clients) client.close();
    listener.close();
    await accepting;
    await server.served();
    deadlines.close();
  }
}
