import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import type { Resource } from "../../snapshot/schema.ts";
import { DataPlane } from "../data_plane.ts";
import { DEFAULT_LIMITS, type Limits } from "../request/limits.ts";

const SCOPE = "gateway/d/g";

interface Setup {
  /** Shares; `to` is `a`, `b`, `empty` or `missing`. */
  shares: { weight: number; to: string }[];
  limits?: Partial<Limits>;
  random?: () => number;
}

interface Running {
  port: number;
  plane: DataPlane;
  /** Puts other shares in force. */
  route(shares: Setup["shares"]): Promise<void>;
  /** Where backend `a` saw datagrams come from, as often as it did. */
  seen: number[];
  backend: Deno.DatagramConn;
}

/** Backends that answer `<name> <what came>`. */
async function withUdp(setup: Setup, run: (running: Running) => Promise<void>) {
  const seen: number[] = [];
  const backends = ["a", "b"].map((name) => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const loop = (async () => {
      for await (const [bytes, from] of socket) {
        if (name === "a" && from.transport === "udp") seen.push(from.port);
        const text = `${name} ${new TextDecoder().decode(bytes)}`;
        await socket.send(new TextEncoder().encode(text), from).catch(() => {});
      }
    })();
    return { name, socket, loop };
  });
  const plane = new DataPlane({
    bindAddress: "127.0.0.1",
    limits: { ...DEFAULT_LIMITS, acceptWatchInterval: 0, ...setup.limits },
    clock: systemClock,
    random: setup.random ?? Math.random,
    log: silentLogger,
    accessLog: null,
  });
  for (const { name, socket: { addr } } of backends) {
    const port = addr.transport === "udp" ? addr.port : 0;
    plane.setEndpoints(`d/${name}/1-udp`, {
      kind: "endpoints",
      endpoints: [{ address: "127.0.0.1", port, ready: true, serving: true, terminating: false }],
    });
  }
  let version = 0;
  const route = async (shares: Setup["shares"]) => {
    await plane.prepare({
      scope: SCOPE,
      lineage: "test",
      epoch: 1,
      version: ++version,
      digest: "",
      resources: resources(shares),
    })();
  };
  const free = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const port = free.addr.transport === "udp" ? free.addr.port : 0;
  free.close();
  try {
    await plane.setBinds(SCOPE, { kind: "bind", ports: [], udp: [{ port: 53, fleetPort: port }] });
    await route(setup.shares);
    assert(plane.complete());
    await run({ port, plane, route, seen, backend: backends[0]!.socket });
  } finally {
    await plane.close();
    for (const { socket, loop } of backends) {
      socket.close();
      await loop;
    }
  }
}

function resources(shares: Setup["shares"]): Map<string, Resource> {
  const all = new Map<string, Resource>([
    ["listener/d/g/dns", {
      kind: "listener",
      name: "dns",
      port: 53,
      protocol: "UDP",
      hostname: "",
    }],
    ["udproute/d/r", {
      kind: "udproute",
      created: 1,
      listeners: ["dns"],
      hostnames: [],
      rules: [{
        backends: shares.map(({ weight, to }) =>
          to === "missing"
            ? { weight, error: "BackendNotFound" }
            : { weight, cluster: `cluster/d/${to}/1/udp` }
        ),
      }],
    }],
  ]);
  for (const { to } of shares) {
    all.set(`cluster/d/${to}/1/udp`, {
      kind: "cluster",
      endpoints: `d/${to}/1-udp`,
      protocol: "udp",
    });
  }
  return all;
}

function client(port: number) {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const target = { transport: "udp" as const, hostname: "127.0.0.1", port };
  return {
    socket,
    send: (text: string) => socket.send(new TextEncoder().encode(text), target),
    receive: async () => {
      const [bytes, from] = await socket.receive(new Uint8Array(65_535));
      // Answers come from the port that was asked.
      assertEquals(from.transport === "udp" && from.port, port);
      return new TextDecoder().decode(bytes);
    },
  };
}

/** What a new client is answered. */
async function ask(port: number, text: string): Promise<string> {
  const { socket, send, receive } = client(port);
  try {
    await send(text);
    return await receive();
  } finally {
    socket.close();
  }
}

async function metric(plane: DataPlane, name: string): Promise<string[]> {
  const { text } = await plane.expose();
  return text.split("\n").filter((line) => line.startsWith(`${name}{`));
}

/** Resolves when a datagram was dropped for that reason. */
async function dropped(plane: DataPlane, reason: string): Promise<void> {
  for (;;) {
    const lines = await metric(plane, "lgw_proxy_datagrams_dropped_total");
    if (lines.some((line) => line.includes(`reason="${reason}"`))) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

Deno.test("UDPRoute: a client's datagrams are one flow, answered from the port that it asked", async () => {
  await withUdp({ shares: [{ weight: 1, to: "a" }] }, async ({ port, seen, plane }) => {
    const { socket, send, receive } = client(port);
    const large = "x".repeat(9_000);
    for (const text of ["one", "two", large]) {
      await send(text);
      assertEquals(await receive(), `a ${text}`);
    }
    socket.close();
    assertEquals(await ask(port, "other"), "a other");
    assertEquals(new Set(seen.slice(0, 3)).size, 1, "one socket per flow");
    assert(seen[3] !== seen[0], "another client has another");
    assertEquals(await metric(plane, "lgw_proxy_open_streams"), [
      `lgw_proxy_open_streams{gateway="${SCOPE}",listener="dns",protocol="UDP"} 2`,
    ]);
  });
});

Deno.test("UDPRoute: flows are shared out by weight, and none goes to weight 0", async () => {
  const draws = [0, 0.2, 0.4, 0.6, 0.69, 0.71, 0.8, 0.99];
  let drawn = 0;
  const random = () => draws[drawn++ % draws.length] ?? 0;
  const shares = [{ weight: 7, to: "a" }, { weight: 3, to: "b" }, { weight: 0, to: "missing" }];
  await withUdp({ shares, random }, async ({ port }) => {
    const names: string[] = [];
    for (let count = 0; count < 40; count++) names.push((await ask(port, "?")).slice(0, 1));
    const share = names.filter((name) => name === "a").length;
    assert(share >= 20 && share <= 32, `a: ${share} of 40`);
  });
});

Deno.test("UDPRoute: what has no backend is dropped and counted; a flow follows its route", async () => {
  await withUdp({ shares: [{ weight: 1, to: "missing" }] }, async ({ port, plane, route }) => {
    const { socket, send, receive } = client(port);
    await send("lost");
    await dropped(plane, "invalid_backend");
    await route([{ weight: 1, to: "empty" }]);
    await send("lost");
    await dropped(plane, "no_endpoints");
    await route([{ weight: 1, to: "a" }]);
    await send("found");
    assertEquals(await receive(), "a found");
    await route([{ weight: 1, to: "b" }]);
    await send("moved");
    assertEquals(await receive(), "b moved");
    socket.close();
  });
});

Deno.test("UDPRoute: flows end when nothing comes, and there are no more than the bound", async () => {
  const limits = { datagramIdleTimeout: 30, maxDatagramFlows: 2 };
  await withUdp({ shares: [{ weight: 1, to: "a" }], limits }, async ({ port, plane }) => {
    const clients = [client(port), client(port), client(port)];
    for (const { send } of clients.slice(0, 2)) await send("in");
    for (const { receive } of clients.slice(0, 2)) assertEquals(await receive(), "a in");
    await clients[2]!.send("too many");
    let answered: string | undefined;
    // The others are silent from now on: their flows end, and there is room.
    const answer = clients[2]!.receive().then((text) => answered = text);
    while (answered === undefined) {
      await clients[2]!.send("again");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await answer;
    assertEquals(answered, "a again");
    for (const { socket } of clients) socket.close();
    await dropped(plane, "flows");
  });
});

Deno.test("UDPRoute: a stranger who finds a flow's port reaches nobody", async () => {
  await withUdp({ shares: [{ weight: 1, to: "a" }] }, async ({ port, seen, plane }) => {
    const { socket, send, receive } = client(port);
    await send("hello");
    assertEquals(await receive(), "a hello");
    const stranger = client(seen[0] ?? 0);
    await stranger.send("forged");
    stranger.socket.close();
    await dropped(plane, "foreign");
    await send("again");
    assertEquals(await receive(), "a again");
    socket.close();
  });
});
