/** For tests: routes of connections on a real socket, with backends that speak first. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import type { Resource, StreamRouteResource } from "../../snapshot/schema.ts";
import type { AccessEntry } from "../observe/access_log.ts";
import { AccessLog } from "../observe/access_log.ts";
import { type StreamOutcome, StreamStats } from "../observe/stream_stats.ts";
import { DEFAULT_LIMITS, type Limits } from "../request/limits.ts";
import { compileTable } from "../table/compile.ts";
import { Deadlines } from "../upstream/deadlines.ts";
import { EndpointRegistry } from "../upstream/endpoints.ts";
import type { Place } from "../upstream/place.ts";
import { TrustBundles } from "../upstream/trust_bundles.ts";
import { TlsProfiles } from "../upstream/tls_profiles.ts";
import { bindTcp } from "./tcp_server.ts";
import { openLane } from "./stream_lane.ts";
import { OpenConnections } from "./open_connections.ts";
import { LargeBuffers } from "./splice_buffers.ts";
import { TcpStream } from "./tcp_stream.ts";
import { CertificateStore } from "./tls_contexts.ts";

const SCOPE = "gateway/d/g";

export interface Lane {
  port: number;
  /** The end of the next connection that is over. */
  over(): Promise<{ outcome: StreamOutcome; entry: AccessEntry }>;
  health(set: string): readonly Place[];
  drain(): Promise<void>;
  /** Lets the backend that does not read close. */
  release(): void;
}

export interface LaneSetup {
  /** Name → shares; `to` is a backend: `echo`, `b`, `c`, `deaf`, `half`, `empty` or `missing`. */
  routes: Record<string, { weight: number; to: string }[]>;
  created?: Record<string, number>;
  /** What the weights draw, in turn. */
  draws?: readonly number[];
  limits?: Partial<Limits>;
}

/** Backends: `echo`, `b` and `c` greet and echo; `deaf` never reads; `half` is dead and `echo`. */
export async function withLane(setup: LaneSetup, run: (lane: Lane) => Promise<void>) {
  const limits = { ...DEFAULT_LIMITS, ...setup.limits };
  const deadlines = new Deadlines(systemClock);
  const deaf = Promise.withResolvers<void>();
  const servers = {
    echo: serve("echo"),
    b: serve("b"),
    c: serve("c"),
    deaf: await serveDeaf(deaf.promise),
  };
  const endpoints = new EndpointRegistry({ random: () => 0, limits });
  const set = (name: string, ...ports: number[]) =>
    endpoints.setEndpoints(`d/${name}/1`, {
      kind: "endpoints",
      endpoints: ports.map((port) => ({
        address: "127.0.0.1",
        port,
        ready: true,
        serving: true,
        terminating: false,
      })),
    });
  for (const [name, { port }] of Object.entries(servers)) set(name, port);
  set("empty");
  set("half", unusedPort(), servers.echo.port);
  const entries: AccessEntry[] = [];
  let arrived = Promise.withResolvers<void>();
  const accessLog = new AccessLog({
    sink: {
      write: (bytes) => {
        for (const line of new TextDecoder().decode(bytes).trim().split("\n")) {
          entries.push(JSON.parse(line));
        }
        arrived.resolve();
        return Promise.resolve();
      },
    },
  });
  let drawn = 0;
  const lane = {
    endpoints,
    tls: new TlsProfiles({
      trust: new TrustBundles(),
      certificates: new CertificateStore(),
      observers: [],
    }),
    deadlines,
    limits,
    clock: systemClock,
    buffers: new LargeBuffers(() => {}),
    random: () => setup.draws?.[drawn++ % setup.draws.length] ?? 0,
    accessLog,
    stats: new StreamStats(),
  };
  const table = compileTable({ scope: SCOPE, version: 1, digest: "", resources: resources(setup) });
  const connections = new OpenConnections({
    max: 1000,
    onRefused: () => {},
    onCount: () => {},
    onFailure: (error) => {
      throw error;
    },
  });
  const bound = bindTcp({
    hostname: "127.0.0.1",
    port: 0,
    log: silentLogger,
    admit: () => connections.admit(),
    onConnection: (conn) => {
      const info = {
        scheme: "http" as const,
        remoteAddress: conn.remoteAddr.hostname,
        remotePort: conn.remoteAddr.port,
        port: 9000,
        scope: SCOPE,
        sni: "",
        table: () => table.ports.get(9000),
        snapshotVersion: () => 1,
      };
      const stream = new TcpStream(conn);
      connections.add(openLane({ stream, info, protocol: "TCP", terminated: false }, lane));
    },
  });
  try {
    await run({
      port: bound.port,
      over: async () => {
        while (entries.length === 0) {
          await arrived.promise;
          arrived = Promise.withResolvers();
        }
        const entry = entries.shift() as AccessEntry;
        return { outcome: entry.reason as StreamOutcome, entry };
      },
      health: (name) =>
        [...endpoints.observed()].find(([key]) => key === `d/${name}/1`)?.[1].health.places ?? [],
      drain: () => connections.drain(1_000),
      release: () => deaf.resolve(),
    });
  } finally {
    await bound.close();
    deaf.resolve();
    await connections.drain(0);
    await Promise.all(Object.values(servers).map((server) => server.close()));
    deadlines.close();
  }
}

function resources({ routes, created }: LaneSetup): Map<string, Resource> {
  const all = new Map<string, Resource>([["listener/d/g/tcp", {
    kind: "listener",
    name: "tcp",
    port: 9000,
    protocol: "TCP",
    hostname: "",
  }]]);
  for (const [name, shares] of Object.entries(routes)) {
    const route: StreamRouteResource = {
      kind: "tcproute",
      created: created?.[name] ?? 1,
      listeners: ["tcp"],
      hostnames: [],
      rules: [{
        backends: shares.map(({ weight, to }) =>
          to === "missing"
            ? { weight, error: "BackendNotFound" }
            : { weight, cluster: `cluster/d/${to}/1/tcp` }
        ),
      }],
    };
    all.set(`tcproute/d/${name}`, route);
    for (const { to } of shares) {
      all.set(`cluster/d/${to}/1/tcp`, {
        kind: "cluster",
        endpoints: `d/${to}/1`,
        protocol: "tcp",
      });
    }
  }
  return all;
}

/** Greets, then echoes until the client ends; `hold` instead of reading. */
function serve(name: string) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Promise<void>>();
  const one = async (conn: Deno.TcpConn) => {
    try {
      await conn.write(new TextEncoder().encode(`hello ${name}\n`));
      await conn.readable.pipeTo(conn.writable);
    } catch {
      // The lane closed it.
    }
    try {
      conn.close();
    } catch {
      // The pipe closed it.
    }
  };
  const loop = (async () => {
    for await (const conn of listener) {
      const served = one(conn);
      open.add(served);
      served.finally(() => open.delete(served));
    }
  })();
  return {
    port: listener.addr.port,
    close: async () => {
      listener.close();
      await loop;
      await Promise.all(open);
    },
  };
}

/** Greets, never reads, and resets every connection in the end: Deno's own would end them. */
async function serveDeaf(end: Promise<void>) {
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    socket.write("hello deaf\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  void end.then(() => {
    for (const socket of sockets) socket.resetAndDestroy();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    close: async () => {
      server.close();
      if (server.listening || sockets.size > 0) await once(server, "close");
    },
  };
}

/** A port of which nobody listens. */
export function unusedPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

export function connectTo(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** What one read gives; empty at the end. */
export async function readSome(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  const n = await conn.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, n ?? 0));
}

/** Everything until the peer has ended or reset the connection. */
export async function readAll(conn: Deno.Conn): Promise<string> {
  let text = "";
  try {
    for (;;) {
      const more = await readSome(conn);
      if (more === "") return text;
      text += more;
    }
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return text;
    throw error;
  }
}
