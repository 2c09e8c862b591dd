/** A Gateway of every kind of stream, and neighbours who must not notice what others do to it. */
import { once } from "node:events";
import { createServer } from "node:net";
import { assert, assertEquals } from "@std/assert";
import type { Settings } from "../../shared/config/settings.ts";
import { startTlsOrigin } from "../../shared/dataplane/upstream/testing_tls_origin.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import type { SelfSigned } from "../../shared/secrets/self_signed.ts";
import { type GatewayUnderTest, withGateway } from "./harness.ts";
import { certificateFor, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { RawConnection, type Target } from "./raw_client.ts";
import {
  localService,
  manifest,
  streamGateway,
  streamRoute,
  terminate,
} from "./stream_manifests.ts";
import { eventually } from "./wait.ts";

const base = PORTS.streamFloods;
export const FLOOD_PORTS = {
  /** Passthrough alone. */
  passed: base,
  /** TLS that ends here. */
  ended: base + 1,
  tcp: base + 2,
  /** Its backend greets, and resets when something comes. */
  reset: base + 3,
  udp: base + 4,
} as const;

/** Short of time and flows, so that bounds are met soon. */
export const LIMITS = { headTimeout: 2_000, maxDatagramFlows: 64 } as const;

const NAME = "a.example.com";
/** Connections that neighbours make beside a flood, of each kind. */
const NEWCOMERS = 10;

export interface Neighbour {
  /** The connections that they have had all along echo what they say. */
  served(): Promise<void>;
  /** New connections of every kind do as well. */
  newcomers(): Promise<void>;
  /** A datagram is answered; resolves with the port that the endpoint saw it come from. */
  datagram(): Promise<string>;
}

export interface FloodRig {
  neighbour: Neighbour;
  /** The sum of `lgw_proxy_<name>_total` over the series with these labels. */
  counted(name: string, labels: Readonly<Record<string, string>>): Promise<number>;
  /** How many series the proxy's metrics have. */
  series(): Promise<number>;
  /** Bytes of the proxy's memory. */
  memory(): Promise<number>;
  /** Flows of UDP that are open. */
  flows(): Promise<number>;
  /** Are the neighbours' connections the only ones? */
  quiet(): Promise<boolean>;
}

const LISTENERS = [
  { name: "passed", protocol: "TLS", port: FLOOD_PORTS.passed, tls: { mode: "Passthrough" } },
  {
    name: "ended",
    protocol: "TLS",
    port: FLOOD_PORTS.ended,
    hostname: "*.example.com",
    tls: terminate("gateway"),
  },
  { name: "tcp", protocol: "TCP", port: FLOOD_PORTS.tcp },
  { name: "reset", protocol: "TCP", port: FLOOD_PORTS.reset },
  { name: "udp", protocol: "UDP", port: FLOOD_PORTS.udp },
];
const hostnames = ["*.example.com"];
const ROUTES = [
  streamRoute("TLSRoute", { name: "passed", section: "passed", to: "secure", hostnames }),
  streamRoute("TLSRoute", { name: "ended", section: "ended", to: "plain", hostnames }),
  streamRoute("TCPRoute", { name: "tcp", section: "tcp", to: "plain" }),
  streamRoute("TCPRoute", { name: "reset", section: "reset", to: "reset" }),
  streamRoute("UDPRoute", { name: "udp", section: "udp", to: "datagrams" }),
];

/** Runs a test against a Gateway with neighbours on each of its ports. */
export async function withFloodRig(
  settings: Settings,
  test: (rig: FloodRig) => Promise<void>,
): Promise<void> {
  const identity = await certificateFor("*.example.com");
  const secure = await startTlsOrigin({
    identity,
    script: (socket) => socket.on("data", (bytes: Uint8Array) => socket.write(bytes)),
  });
  const plain = echoes();
  const reset = await resets();
  const datagrams = answersWithPort();
  try {
    await withGateway({
      settings,
      files: {
        gateway: manifest(streamGateway(LISTENERS)),
        secret: tlsSecret("gateway", identity),
        services: manifest([
          ...localService("secure", { port: secure.port }),
          ...localService("plain", { port: plain.port }),
          ...localService("reset", { port: reset.port }),
          ...localService("datagrams", { port: datagrams.port, protocol: "UDP" }),
        ]),
        routes: manifest(ROUTES),
      },
    }, async (edge) => {
      await edge.ready();
      const neighbour = await moveIn(identity);
      try {
        await test({ neighbour, ...observed(edge) });
      } finally {
        neighbour.leave();
      }
    });
  } finally {
    reset.stop();
    await plain.stop();
    await datagrams.stop();
    await secure.close();
  }
}

function targets({ certificate }: SelfSigned): Target[] {
  const tls = { serverName: NAME, trust: [certificate] };
  const { passed, ended, tcp } = FLOOD_PORTS;
  return [{ port: passed, tls }, { port: ended, tls }, { port: tcp }];
}

async function echoed(connection: RawConnection, text: string): Promise<void> {
  await connection.send(text);
  const got = await connection.take(text.length);
  assertEquals(got, text);
}

async function moveIn(identity: SelfSigned): Promise<Neighbour & { leave(): void }> {
  const all = targets(identity);
  const connections = await eventually(
    "every route is there",
    () => Promise.all(all.map((target) => connected(target))),
  );
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const udp = { transport: "udp" as const, hostname: "127.0.0.1", port: FLOOD_PORTS.udp };
  let asked = 0;
  const answers = new Map<string, string>();
  const listening = (async () => {
    for await (const [bytes] of socket) {
      const [question = "", port = ""] = new TextDecoder().decode(bytes).split(" ");
      answers.set(question, port);
    }
  })();
  return {
    served: async () => {
      for (const connection of connections) await echoed(connection, `still ${asked++} here`);
    },
    newcomers: async () => {
      for (let count = 0; count < NEWCOMERS; count++) {
        for (const target of all) (await connected(target)).close();
      }
    },
    datagram: () => {
      const question = String(asked++);
      // Nobody promises that a datagram arrives.
      return eventually("an answer", async () => {
        await socket.send(new TextEncoder().encode(question), udp);
        return answers.get(question);
      });
    },
    leave: () => {
      for (const connection of connections) connection.close();
      socket.close();
      void listening;
    },
  };
}

/** A connection that has got an answer. */
async function connected(target: Target): Promise<RawConnection> {
  const connection = await RawConnection.open(target);
  try {
    await echoed(connection, "hello");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

function observed(edge: GatewayUnderTest): Omit<FloodRig, "neighbour"> {
  const proxy = edge.stack.proxies[0];
  assert(proxy !== undefined);
  const sum = async (name: string, labels: Readonly<Record<string, string>>) => {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return [...await edge.metrics()].reduce((total, [series, value]) => {
      const matches = series.startsWith(`${name}{`) &&
        wanted.every((part) => series.includes(part));
      return matches ? total + value : total;
    }, 0);
  };
  return {
    counted: (name, labels) => sum(`lgw_proxy_${name}_total`, labels),
    series: async () => (await edge.metrics()).size,
    memory: async () => {
      const status = await Deno.readTextFile(`/proc/${proxy.current.pid}/status`);
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? NaN) * 1024;
    },
    flows: async () => {
      const dump = await fetchJson(`${edge.stack.adminOf(proxy)}/config_dump`) as {
        datagrams?: { flows: number }[];
      };
      return dump.datagrams?.[0]?.flows ?? NaN;
    },
    quiet: async () =>
      await sum("lgw_proxy_open_streams", { protocol: "TCP" }) === 1 &&
      await sum("lgw_proxy_open_streams", { protocol: "TLS" }) === 2,
  };
}

/** Sends back what comes. */
function echoes(): { port: number; stop(): Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const running = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const conn of listener) {
      const run = conn.readable.pipeTo(conn.writable).catch(() => {});
      running.add(run);
      run.finally(() => running.delete(run));
    }
  })();
  return {
    port: listener.addr.port,
    stop: async () => {
      listener.close();
      await accepting;
      await Promise.all(running);
    },
  };
}

/** Ends connections by a reset, not an end, as soon as something comes. */
async function resets(): Promise<{ port: number; stop(): void }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write("hello");
    socket.once("data", () => socket.resetAndDestroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, stop: () => void server.close() };
}

/** Answers each datagram with what it said and the port that it came from. */
function answersWithPort(): { port: number; stop(): Promise<void> } {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const answering = (async () => {
    for await (const [bytes, from] of socket) {
      if (from.transport !== "udp") continue;
      const text = `${new TextDecoder().decode(bytes)} ${from.port}`;
      await socket.send(new TextEncoder().encode(text), from).catch(() => {});
    }
  })();
  return {
    port: socket.addr.transport === "udp" ? socket.addr.port : 0,
    stop: async () => {
      socket.close();
      await answering;
    },
  };
}
