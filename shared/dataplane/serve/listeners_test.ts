import { assert, assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { selfSigned } from "../../secrets/self_signed.ts";
import type { Resource } from "../../snapshot/schema.ts";
import { compileTable } from "../table/compile.ts";
import type { RouteTable } from "../table/types.ts";
import { Deadlines } from "../upstream/deadlines.ts";
import { TrustBundles } from "../upstream/trust_bundles.ts";
import type { InboundConnection } from "../request/types.ts";
import type { ByteStream } from "./byte_stream.ts";
import { Listeners } from "./listeners.ts";
import { OpenConnections } from "./open_connections.ts";
import { PREFACE } from "./preface.ts";
import { CertificateStore } from "./tls_contexts.ts";

const SCOPE = "gateway/ns/gw";

function tableOf(
  listeners: { name: string; port: number; protocol?: "HTTPS"; hostname?: string; slot?: string }[],
  version = 1,
): RouteTable {
  const resources = new Map(
    listeners.map(({ name, port, protocol, hostname, slot }) =>
      [`listener/ns/gw/${name}`, {
        kind: "listener",
        name,
        port,
        protocol: protocol ?? "HTTP",
        hostname: hostname ?? "",
        ...(slot === undefined ? {} : { certificates: [slot] }),
      }] as [string, Resource]
    ),
  );
  return compileTable({ scope: SCOPE, version, digest: "", resources });
}

interface Setup {
  listeners: Listeners;
  connections: OpenConnections;
  certificates: CertificateStore;
  /** What the engines saw: `engine port version`. */
  seen: string[];
  open: () => number;
  refused: () => number;
  /** Plaintext connections that said nothing in time. */
  silent: () => number;
}

/** Engines that note the connection, answer one byte, and wait for the client to close. */
async function withListeners(
  use: (setup: Setup) => Promise<void>,
  options: { maxConnections?: number; handshakeTimeout?: number } = {},
): Promise<void> {
  const deadlines = new Deadlines(systemClock);
  const certificates = new CertificateStore();
  const seen: string[] = [];
  const connections = new Set<Promise<void>>();
  let open = 0;
  let refused = 0;
  const track = (work: Promise<void>) => {
    connections.add(work);
    return work;
  };
  let silent = 0;
  const engine = (name: string) => (stream: ByteStream, info: InboundConnection) => {
    seen.push(`${name} ${info.port} ${info.sni === "" ? info.snapshotVersion() : info.sni}`);
    const serve = async () => {
      await stream.write(new Uint8Array([1]));
      while (await stream.read().catch(() => null) !== null);
      stream.destroy();
    };
    const finished = track(serve());
    return { finished, drain: () => finished, abort: () => stream.destroy() };
  };
  const all = new OpenConnections({
    max: options.maxConnections ?? 100,
    onRefused: () => refused++,
    onCount: (count) => open = count,
    onFailure: () => {},
  });
  const listeners = new Listeners({
    bindAddress: "127.0.0.1",
    watchEvery: 0,
    connections: all,
    handshakeTimeout: options.handshakeTimeout ?? 5_000,
    bindRetry: { initial: 5, max: 20 },
    certificates,
    trust: new TrustBundles(),
    clock: systemClock,
    deadlines,
    log: silentLogger,
    onHandshakeFailure: () => {},
    onSilence: () => silent++,
    engines: {
      http1: engine("http1"),
      http2: engine("http2"),
      tcp: engine("tcp"),
      passthrough: engine("passthrough"),
      terminated: engine("terminated"),
    },
  });
  try {
    await use({
      listeners,
      connections: all,
      certificates,
      seen,
      open: () => open,
      refused: () => refused,
      silent: () => silent,
    });
  } finally {
    await listeners.close();
    await Promise.all(connections);
    deadlines.close();
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

const binds = (...ports: [number, number][]) => ({
  kind: "bind" as const,
  ports: ports.map(([port, fleetPort]) => ({ port, fleetPort })),
});

/** Connects and says something: the choice of the engine waits for it. */
async function dial(port: number, text = "G"): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(text));
  return conn;
}

/** Connects, waits for the engine's byte, closes. */
async function visit(port: number): Promise<void> {
  const conn = await dial(port);
  assertEquals(await conn.read(new Uint8Array(1)), 1);
  conn.close();
}

Deno.test("Listeners binds a port when both table and bind map have it", async () => {
  await withListeners(async ({ listeners, seen }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }], 7));
    assertEquals(listeners.complete(), false);
    await listeners.setBinds(SCOPE, binds([80, port]));
    assertEquals(listeners.complete(), true);
    await visit(port);
    assertEquals(seen, ["http1 80 7"]);
    assertEquals(listeners.bound(), [
      { scope: SCOPE, port: 80, address: "127.0.0.1", fleetPort: port },
    ]);
  });
});

Deno.test("Listeners keeps open connections and their socket when the table changes", async () => {
  await withListeners(async ({ listeners, seen }) => {
    const [first, second] = [freePort(), freePort()];
    await listeners.setBinds(SCOPE, binds([80, first], [81, second]));
    listeners.setTable(tableOf([{ name: "a", port: 80 }], 1));
    await listeners.setBinds(SCOPE, binds([80, first], [81, second]));
    const held = await dial(first);
    await held.read(new Uint8Array(1));
    listeners.setTable(tableOf([{ name: "a", port: 80 }, { name: "b", port: 81 }], 2));
    await listeners.setBinds(SCOPE, binds([80, first], [81, second]));
    await visit(second);
    await visit(first);
    assertEquals(seen, ["http1 80 1", "http1 81 2", "http1 80 2"]);
    // Still open: a read has nothing to say until the server closes.
    await held.write(new Uint8Array([1]));
    held.close();
  });
});

Deno.test("Listeners closes the sockets of ports and scopes that are gone", async () => {
  await withListeners(async ({ listeners }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    await visit(port);
    await listeners.setBinds(SCOPE, binds());
    await assertRejects(() => visit(port), Deno.errors.ConnectionRefused);
    await listeners.setBinds(SCOPE, binds([80, port]));
    await visit(port);
    await listeners.removeScope(SCOPE);
    await assertRejects(() => visit(port), Deno.errors.ConnectionRefused);
    assertEquals(listeners.tables(), []);
  });
});

Deno.test("Listeners reports a port that is taken and binds it once it is free", async () => {
  await withListeners(async ({ listeners }) => {
    const holder = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = holder.addr;
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    const [failure] = listeners.bindFailures();
    assertEquals([failure?.port, failure?.fleetPort], [80, port]);
    assert(failure?.error.toLowerCase().includes("in use"), failure?.error);
    assertEquals(listeners.complete(), false);
    holder.close();
    while (!listeners.complete()) await systemClock.delay(5);
    assertEquals(listeners.bindFailures(), []);
    await visit(port);
  });
});

Deno.test("Listeners moves a port from HTTP to HTTPS, and is complete once it has the key", async () => {
  const pair = await selfSigned({
    names: ["a.test"],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 60_000),
  });
  await withListeners(async ({ listeners, certificates, seen }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "x", port: 443 }]));
    await listeners.setBinds(SCOPE, binds([443, port]));
    await visit(port);
    const slot = "cert/ns/a";
    listeners.setTable(
      tableOf([{ name: "x", port: 443, protocol: "HTTPS", hostname: "a.test", slot }], 2),
    );
    await listeners.setBinds(SCOPE, binds([443, port]));
    assertEquals(listeners.complete(), false);
    const { certificate: chain, key } = pair;
    certificates.set({ slot, chain, key, fingerprint: "1" });
    assertEquals(listeners.complete(), true);
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
    const tls = await Deno.startTls(tcp, { hostname: "a.test", caCerts: [chain] });
    assertEquals(await tls.read(new Uint8Array(1)), 1);
    tls.close();
    assertEquals(seen, ["http1 443 1", "http1 443 a.test"]);
  });
});

Deno.test("Listeners closes connections beyond the bound at once, and counts them", async () => {
  await withListeners(async ({ listeners, refused, open }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    const first = await dial(port);
    await first.read(new Uint8Array(1));
    assertEquals(open(), 1);
    const second = await Deno.connect({ hostname: "127.0.0.1", port });
    assertEquals(await second.read(new Uint8Array(1)), null);
    second.close();
    assertEquals(refused(), 1);
    first.close();
  }, { maxConnections: 1 });
});

Deno.test("Listeners counts handshakes under way as connections", async () => {
  await withListeners(async ({ listeners, certificates, open, refused }) => {
    const { certificate: chain, key } = await selfSigned({
      names: ["a.test"],
      notBefore: new Date(0),
      notAfter: new Date(Date.now() + 3_600_000),
    });
    certificates.set({ slot: "s", chain, key, fingerprint: "1" });
    const fleetPort = freePort();
    listeners.setTable(tableOf([{ name: "tls", port: 443, protocol: "HTTPS", slot: "s" }]));
    await listeners.setBinds(SCOPE, { kind: "bind", ports: [{ port: 443, fleetPort }] });
    // Neither of these ever says anything.
    const silent = await Promise.all(
      [1, 2].map(() => Deno.connect({ hostname: "127.0.0.1", port: fleetPort })),
    );
    const third = await Deno.connect({ hostname: "127.0.0.1", port: fleetPort });
    await third.read(new Uint8Array(1)).catch(() => null);
    third.close();
    assertEquals([open(), refused()], [0, 1]);
    for (const conn of silent) conn.close();
  }, { maxConnections: 2 });
});

Deno.test("Listeners gives HTTP/2 what begins with its preface, in one segment or many", async () => {
  await withListeners(async ({ listeners, seen }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    const preface = new TextDecoder().decode(PREFACE);
    const visits = [[`${preface}more`], [...preface], [preface.slice(0, 23), `${preface[23]}x`]];
    for (const segments of visits) {
      const conn = await dial(port, "");
      conn.setNoDelay(true);
      for (const segment of segments) await conn.write(new TextEncoder().encode(segment));
      assertEquals(await conn.read(new Uint8Array(1)), 1);
      conn.close();
    }
    assertEquals(seen, ["http2 80 1", "http2 80 1", "http2 80 1"]);
    for (const text of ["PRI * HTTP/2.0\r\n\r\nXX", "POST", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx"]) {
      const conn = await dial(port, text);
      assertEquals(await conn.read(new Uint8Array(1)), 1);
      conn.close();
    }
    assertEquals(seen.slice(3), ["http1 80 1", "http1 80 1", "http1 80 1"]);
  });
});

Deno.test("Listeners cuts a client that says nothing, or half of a preface, and forgets one that leaves", async () => {
  await withListeners(async ({ listeners, seen, open, silent }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    for (const text of ["", "PRI * HT"]) {
      const conn = await dial(port, text);
      assertEquals(await conn.read(new Uint8Array(1)), null);
      conn.close();
    }
    assertEquals([silent(), open(), seen.length], [2, 0, 0]);
  }, { handshakeTimeout: 50 });
  await withListeners(async ({ listeners, seen, open, silent }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    const leaving = await dial(port, "");
    await leaving.closeWrite();
    assertEquals(await leaving.read(new Uint8Array(1)), null);
    leaving.close();
    assertEquals([silent(), open(), seen.length], [0, 0, 0]);
  });
});

Deno.test("OpenConnections.drain() closes a client that has not said anything yet", async () => {
  await withListeners(async ({ listeners, connections, open }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    const silent = await dial(port, "");
    while (open() === 0) await systemClock.delay(1);
    await connections.drain(10_000);
    assertEquals(await silent.read(new Uint8Array(1)), null);
    silent.close();
  });
});
