import { assert, assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { selfSigned } from "../../secrets/self_signed.ts";
import type { Resource } from "../../snapshot/schema.ts";
import { compileTable } from "../table/compile.ts";
import type { RouteTable } from "../table/types.ts";
import { Deadlines } from "../upstream/deadlines.ts";
import { Listeners } from "./listeners.ts";
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
  certificates: CertificateStore;
  /** What the engines saw: `engine port version`. */
  seen: string[];
  open: () => number;
  refused: () => number;
}

/** Engines that note the connection, answer one byte, and wait for the client to close. */
async function withListeners(
  use: (setup: Setup) => Promise<void>,
  options: { maxConnections?: number } = {},
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
  const listeners = new Listeners({
    bindAddress: "127.0.0.1",
    maxConnections: options.maxConnections ?? 100,
    handshakeTimeout: 5_000,
    bindRetry: { initial: 5, max: 20 },
    certificates,
    deadlines,
    log: silentLogger,
    onTooManyConnections: () => refused++,
    onHandshakeFailure: () => {},
    onConnections: (count) => open = count,
    engines: {
      native: (conn, info) =>
        track((async () => {
          seen.push(`native ${info.port} ${info.snapshotVersion()}`);
          await conn.write(new Uint8Array([1]));
          while (await conn.read(new Uint8Array(64)) !== null);
          conn.close();
        })()),
      stream: ({ stream }, info) =>
        track((async () => {
          seen.push(`stream ${info.port} ${info.sni}`);
          await stream.write(new Uint8Array([1]));
          while (await stream.read().catch(() => null) !== null);
          stream.destroy();
        })()),
    },
  });
  try {
    await use({ listeners, certificates, seen, open: () => open, refused: () => refused });
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

/** Connects, waits for the engine's byte, closes. */
async function visit(port: number): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
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
    assertEquals(seen, ["native 80 7"]);
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
    const held = await Deno.connect({ hostname: "127.0.0.1", port: first });
    await held.read(new Uint8Array(1));
    listeners.setTable(tableOf([{ name: "a", port: 80 }, { name: "b", port: 81 }], 2));
    await listeners.setBinds(SCOPE, binds([80, first], [81, second]));
    await visit(second);
    await visit(first);
    assertEquals(seen, ["native 80 1", "native 81 2", "native 80 2"]);
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
    assertEquals(seen, ["native 443 1", "stream 443 a.test"]);
  });
});

Deno.test("Listeners closes connections beyond the bound at once, and counts them", async () => {
  await withListeners(async ({ listeners, refused, open }) => {
    const port = freePort();
    listeners.setTable(tableOf([{ name: "http", port: 80 }]));
    await listeners.setBinds(SCOPE, binds([80, port]));
    const first = await Deno.connect({ hostname: "127.0.0.1", port });
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
