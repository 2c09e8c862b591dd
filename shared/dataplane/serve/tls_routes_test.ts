/** Routes of TLS listeners on real sockets: passed on, ended, and both beside HTTPS on one port. */
import { assertEquals } from "@std/assert";
import { once } from "node:events";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { type SelfSigned, selfSigned } from "../../secrets/self_signed.ts";
import type { ListenerResource, Resource } from "../../snapshot/schema.ts";
import { DataPlane } from "../data_plane.ts";
import { DEFAULT_LIMITS, type Limits } from "../request/limits.ts";
import { startTlsOrigin } from "../upstream/testing_tls_origin.ts";
import { connectTo, readAll, unusedPort } from "./testing_lane.ts";

const SCOPE = "gateway/d/g";

type Tls = Pick<ListenerResource, "hostname" | "passthrough" | "certificates">;

interface Setup {
  /** Listener name → what it is like; `https` is one of HTTPS. */
  listeners: Record<string, Tls & { https?: true }>;
  /**
   * `listener hostname backend`, the oldest first; `-` as hostname: a TCPRoute. Backends: `tls`,
   * `plain`, `secured` and `missing`.
   */
  routes: string[];
  limits?: Partial<Limits>;
}

interface Running {
  port: number;
  identity: SelfSigned;
  /** SNI that the backend of TLS saw. */
  names: string[];
  plane: DataPlane;
}

async function withRoutes(setup: Setup, run: (running: Running) => Promise<void>) {
  const identity = await selfSigned({
    names: ["a.example.com", "*.example.com"],
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 3_600_000),
  });
  const echo = (socket: TLSSocket) => {
    socket.write("tls ");
    socket.on("data", (bytes: Uint8Array) => socket.write(bytes));
    socket.on("end", () => socket.end());
  };
  const tls = await startTlsOrigin({ identity, allowHalfOpen: true, script: echo });
  const plain = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served: Promise<void>[] = [];
  const loop = (async () => {
    for await (const conn of plain) {
      const one = async () => {
        await conn.write(new TextEncoder().encode("plain "));
        await conn.readable.pipeTo(conn.writable);
      };
      served.push(one().catch(() => {}));
    }
  })();
  const plane = new DataPlane({
    bindAddress: "127.0.0.1",
    limits: { ...DEFAULT_LIMITS, acceptWatchInterval: 0, ...setup.limits },
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
    accessLog: null,
  });
  plane.setCertificate({
    slot: "cert/d/c",
    chain: identity.certificate,
    key: identity.key,
    fingerprint: "1",
  });
  plane.setTrust({ slot: "ca/d/c", certificates: identity.certificate });
  for (const [name, port] of [["tls", tls.port], ["plain", plain.addr.port]] as const) {
    plane.setEndpoints(`d/${name}/1`, {
      kind: "endpoints",
      endpoints: [{ address: "127.0.0.1", port, ready: true, serving: true, terminating: false }],
    });
  }
  plane.prepare({
    scope: SCOPE,
    lineage: "test",
    epoch: 1,
    version: 1,
    digest: "",
    resources: resources(setup),
  })();
  const port = unusedPort();
  await plane.setBinds(SCOPE, { kind: "bind", ports: [{ port: 443, fleetPort: port }] });
  try {
    await run({ port, identity, names: tls.names, plane });
  } finally {
    await plane.close();
    plain.close();
    await loop;
    await Promise.all(served);
    await tls.close();
  }
}

function resources({ listeners, routes }: Setup): Map<string, Resource> {
  const all = new Map<string, Resource>();
  for (const [name, { https, ...rest }] of Object.entries(listeners)) {
    const protocol = https ? "HTTPS" : "TLS";
    all.set(`listener/d/g/${name}`, { kind: "listener", name, port: 443, protocol, ...rest });
  }
  const cluster = (to: string): Resource => ({
    kind: "cluster",
    endpoints: `d/${to === "plain" ? "plain" : "tls"}/1`,
    protocol: "tcp",
    ...(to === "secured" ? { tls: { serverName: "a.example.com", trust: ["ca/d/c"] } } : {}),
  });
  for (const [index, route] of routes.entries()) {
    const [listener = "", hostname = "", to = ""] = route.split(" ");
    const id = `cluster/d/${to}/1/tls`;
    if (to !== "missing") all.set(id, cluster(to));
    const kind = hostname === "-" ? "tcproute" : "tlsroute";
    all.set(`${kind}/d/r${index}`, {
      kind,
      created: index,
      listeners: [listener],
      hostnames: hostname === "-" ? [] : [hostname],
      rules: [{
        backends: [
          to === "missing" ? { weight: 1, error: "InvalidKind" } : {
            weight: 1,
            cluster: id,
          },
        ],
      }],
    });
  }
  return all;
}

/** What comes back for `ping`, or how it failed. */
async function ping({ port, identity }: Running, servername: string, more: ConnectionOptions = {}) {
  const options = {
    port,
    host: "127.0.0.1",
    servername,
    ca: [identity.certificate],
    checkServerIdentity: () => undefined,
    allowHalfOpen: true,
    ...more,
  };
  const socket = connect(options);
  try {
    await once(socket, "secureConnect");
  } catch {
    return "refused";
  }
  const done = Promise.withResolvers<void>();
  let got = "";
  socket.on("data", (bytes: Uint8Array) => {
    got += new TextDecoder().decode(bytes);
    if (got.endsWith("ping")) socket.end();
  });
  socket.on("error", () => {});
  socket.on("close", () => done.resolve());
  socket.write("ping");
  await done.promise;
  return got;
}

Deno.test("TLSRoute with passthrough: the backend ends the TLS and sees the name", async () => {
  const listeners = { l: { hostname: "", passthrough: true as const } };
  await withRoutes({ listeners, routes: ["l *.example.com tls"] }, async (running) => {
    assertEquals(await ping(running, "a.example.com"), "tls ping");
    assertEquals(running.names, ["a.example.com"]);
  });
});

Deno.test("TLSRoute: exact over wildcard, longer over shorter, across listeners of a port", async () => {
  const listeners = {
    any: { hostname: "", passthrough: true as const },
    wild: { hostname: "*.example.com", passthrough: true as const },
  };
  const routes = [
    "wild *.example.com tls",
    "wild *.b.example.com missing",
    "wild x.b.example.com tls",
    "any other.org tls",
  ];
  await withRoutes({ listeners, routes }, async (running) => {
    assertEquals(await ping(running, "a.example.com"), "tls ping");
    assertEquals(await ping(running, "y.b.example.com"), "refused");
    assertEquals(await ping(running, "x.b.example.com"), "tls ping");
    assertEquals(await ping(running, "other.org"), "tls ping");
    assertEquals(await ping(running, "nobody.org"), "refused");
  });
});

/** The first bytes of a client, as far as a server sees them. */
async function firstFlight(servername: string): Promise<Uint8Array> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = connect({ port: listener.addr.port, host: "127.0.0.1", servername });
  client.on("error", () => {});
  const conn = await listener.accept();
  const buffer = new Uint8Array(4096);
  const n = await conn.read(buffer);
  conn.close();
  client.destroy();
  listener.close();
  return buffer.slice(0, n ?? 0);
}

Deno.test("TLSRoute: what is nobody's is closed without a byte, so without an alert", async () => {
  const flight = await firstFlight("nobody.example.com");
  for (
    const listeners of [
      { l: { hostname: "a.example.com", passthrough: true as const } },
      { l: { hostname: "a.example.com", certificates: ["cert/d/c"] } },
    ]
  ) {
    const routes = ["l a.example.com missing", "l nobody.example.com missing"];
    await withRoutes({ listeners, routes }, async ({ port }) => {
      const conn = await connectTo(port);
      // In two segments, the second of them after a while of its own.
      await conn.write(flight.subarray(0, 40));
      await conn.write(flight.subarray(40));
      assertEquals(await readAll(conn), "");
      conn.close();
    });
  }
});

Deno.test("TLSRoute: half a ClientHello and then silence is closed in time", async () => {
  const flight = await firstFlight("a.example.com");
  for (
    const l of [
      { hostname: "", passthrough: true as const },
      { hostname: "", certificates: ["cert/d/c"] },
    ]
  ) {
    const setup = {
      listeners: { l },
      routes: ["l a.example.com tls"],
      limits: { headTimeout: 20 },
    };
    await withRoutes(setup, async ({ port }) => {
      const conn = await connectTo(port);
      await conn.write(flight.subarray(0, 60));
      assertEquals(await readAll(conn), "");
      conn.close();
    });
  }
});

Deno.test("TLSRoute with Terminate: the backend gets plaintext, or TLS of its own", async () => {
  const certificates = ["cert/d/c"];
  const listeners = {
    one: { hostname: "a.example.com", certificates },
    two: { hostname: "b.example.com", certificates },
  };
  const routes = ["one a.example.com plain", "two b.example.com secured"];
  await withRoutes({ listeners, routes }, async (running) => {
    assertEquals(await ping(running, "a.example.com"), "plain ping");
    // Whatever the client offers is between it and the backend.
    assertEquals(await ping(running, "a.example.com", { ALPNProtocols: ["sql"] }), "plain ping");
    assertEquals(await ping(running, "b.example.com"), "tls ping");
    assertEquals(running.names, ["a.example.com"]);
  });
});

Deno.test("TCPRoute on TLS: after every TLSRoute with the name, the oldest first", async () => {
  const certificates = ["cert/d/c"];
  const listeners = {
    wild: { hostname: "*.example.com", certificates },
    any: { hostname: "", certificates },
  };
  const routes = [
    "wild - plain",
    "wild - missing",
    "wild sql.example.com secured",
    "any - secured",
    "any - plain",
  ];
  await withRoutes({ listeners, routes }, async (running) => {
    assertEquals(await ping(running, "sql.example.com"), "tls ping");
    assertEquals(await ping(running, "a.example.com"), "plain ping");
    // Another name, and none, are the other listener's.
    assertEquals(await ping(running, "elsewhere.org"), "tls ping");
    assertEquals(await ping(running, ""), "tls ping");
    assertEquals(running.names, ["a.example.com", "a.example.com", "a.example.com"]);
  });
});

Deno.test("TLSRoute: passthrough, Terminate and HTTPS on one port, by server name", async () => {
  const certificates = ["cert/d/c"];
  const listeners = {
    pass: { hostname: "a.example.com", passthrough: true as const },
    end: { hostname: "b.example.com", certificates },
    web: { hostname: "c.example.com", certificates, https: true as const },
  };
  const routes = ["pass a.example.com tls", "end b.example.com plain"];
  await withRoutes({ listeners, routes }, async (running) => {
    assertEquals(await ping(running, "a.example.com"), "tls ping");
    assertEquals(await ping(running, "b.example.com"), "plain ping");
    const { port, identity } = running;
    const socket = connect({
      port,
      host: "127.0.0.1",
      servername: "c.example.com",
      ca: [identity.certificate],
      ALPNProtocols: ["http/1.1"],
    });
    const ask = (host: string) => socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    await once(socket, "secureConnect");
    let got = "";
    const two = Promise.withResolvers<void>();
    socket.on("data", (bytes: Uint8Array) => {
      got += new TextDecoder().decode(bytes);
      const heads = got.match(/HTTP\/1\.1 \d{3}/g) ?? [];
      if (heads.length === 1 && heads[0] === "HTTP/1.1 404" && !got.includes("421")) {
        ask("b.example.com");
      }
      if (heads.length === 2) two.resolve();
    });
    ask("c.example.com");
    await two.promise;
    // A request for a name whose connections are a TLSRoute's went to the wrong place.
    assertEquals(got.match(/HTTP\/1\.1 \d{3}/g), ["HTTP/1.1 404", "HTTP/1.1 421"]);
    socket.destroy();
    await once(socket, "close");
  });
});
