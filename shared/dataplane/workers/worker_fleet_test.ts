import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { systemClock } from "../../lib/clock.ts";
import { createLogger } from "../../lib/log.ts";
import type { Resource } from "../../snapshot/schema.ts";
import type { VerifiedSnapshot } from "../apply/types.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { WorkerFleet } from "./worker_fleet.ts";
import { WorkerRefusalError } from "./worker_link.ts";

const SCOPE = "gateway/ns/gw";
const PORT = 80;

/** A Gateway that redirects every request of a host: an answer without a backend. */
function snapshot(
  version: number,
  options: { hosts: readonly string[]; changed?: readonly string[]; listener?: string },
): VerifiedSnapshot {
  const resources = new Map<string, Resource>([["listener/ns/gw/http", {
    kind: "listener",
    name: "http",
    port: PORT,
    protocol: "HTTP",
    hostname: "",
  }]]);
  for (const host of options.hosts) {
    resources.set(`httproute/ns/${host}`, {
      kind: "httproute",
      created: 0,
      listeners: [options.listener ?? "http"],
      hostnames: [host],
      rules: [{
        matches: [{ path: { type: "prefix", value: "/" } }],
        filters: [{ type: "redirect", status: 302, hostname: `to-${host}` }],
        backends: [],
      }],
    });
  }
  const { changed } = options;
  return {
    scope: SCOPE,
    lineage: "l",
    epoch: 1,
    version,
    digest: `d${version}`,
    resources,
    ...(changed === undefined
      ? {}
      : { changed: new Set(changed.map((host) => `httproute/ns/${host}`)) }),
  };
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

interface Setup {
  fleet: WorkerFleet;
  port: number;
  /** Events of the log, by name. */
  events: { next(event: string): Promise<void> };
}

async function withFleet(workers: number, use: (setup: Setup) => Promise<void>): Promise<void> {
  const waiting = new Map<string, () => void>();
  const log = createLogger({
    component: "test",
    write: (line) => {
      const { event } = JSON.parse(line);
      waiting.get(event)?.();
    },
  });
  const events = {
    next: (event: string) => new Promise<void>((resolve) => waiting.set(event, resolve)),
  };
  const fleet = await WorkerFleet.start({
    workers,
    bindAddress: "127.0.0.1",
    limits: DEFAULT_LIMITS,
    clock: systemClock,
    log,
    logging: { component: "test", level: "error", fields: {} },
    accessLog: null,
  });
  try {
    await use({ fleet, port: freePort(), events });
  } finally {
    await fleet.close();
  }
}

async function put(fleet: WorkerFleet, of: VerifiedSnapshot): Promise<void> {
  await (await fleet.prepare(of))();
}

const bind = (fleetPort: number) => ({
  kind: "bind" as const,
  ports: [{ port: PORT, fleetPort }],
});

/** The Location of one request on a connection of its own. */
async function location(port: number, host: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const request = `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  let text = "";
  for await (const chunk of connection.readable) text += new TextDecoder().decode(chunk);
  return /location: (\S+)/.exec(text)?.[1] ?? text.split("\r\n")[0] ?? "";
}

Deno.test("WorkerFleet: every worker serves what was swapped, and deltas build on it", () =>
  withFleet(2, async ({ fleet, port }) => {
    await put(fleet, snapshot(1, { hosts: ["a.test", "b.test"] }));
    await fleet.setBinds(SCOPE, bind(port));
    assert(fleet.complete());
    // Connections are spread by their source port: twenty reach both workers, short of a miracle.
    for (let i = 0; i < 20; i++) {
      assertEquals(await location(port, "a.test"), "http://to-a.test/");
    }
    await put(
      fleet,
      snapshot(2, { hosts: ["b.test", "c.test"], changed: ["a.test", "c.test"] }),
    );
    for (let i = 0; i < 20; i++) {
      assertEquals(await location(port, "a.test"), "HTTP/1.1 404 Not Found");
      assertEquals(await location(port, "b.test"), "http://to-b.test/");
      assertEquals(await location(port, "c.test"), "http://to-c.test/");
    }
    const { text } = await fleet.expose();
    const counted = text.split("\n").filter((line) => line.startsWith("lgw_proxy_requests_total{"));
    const total = counted.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
    assertEquals(total, 80);
    assertMatch(text, /lgw_snapshot_version\{scope="gateway\/ns\/gw"\} 2/);
    assertMatch(text, /lgw_proxy_request_duration_seconds_count\{gateway="gateway\/ns\/gw"\} 80/);
    const dump = await fleet.dump();
    assert(Array.isArray(dump.workers));
    assertEquals(dump.workers.length, 2);
  }));

Deno.test("WorkerFleet: what one cannot compile is refused, and the last good keeps serving", () =>
  withFleet(2, async ({ fleet, port }) => {
    await put(fleet, snapshot(1, { hosts: ["a.test"] }));
    await fleet.setBinds(SCOPE, bind(port));
    const bad = snapshot(2, { hosts: ["a.test"], changed: ["a.test"], listener: "nowhere" });
    await assertRejects(() => fleet.prepare(bad), WorkerRefusalError, "no listener nowhere");
    assertEquals(await location(port, "a.test"), "http://to-a.test/");
    await put(fleet, snapshot(3, { hosts: ["a.test", "b.test"], changed: ["a.test", "b.test"] }));
    assertEquals(await location(port, "b.test"), "http://to-b.test/");
  }));

Deno.test("WorkerFleet: a port that another proxy has is reported and not shared", () =>
  withFleet(2, async ({ fleet, port }) => {
    // As workers of another proxy would hold it.
    const taken = Deno.listen({ hostname: "127.0.0.1", port, reusePort: true });
    await put(fleet, snapshot(1, { hosts: ["a.test"] }));
    await fleet.setBinds(SCOPE, bind(port));
    assertEquals(fleet.bindFailures().map(({ fleetPort }) => fleetPort), [port]);
    assertEquals(fleet.complete(), false);
    taken.close();
    await fleet.setBinds(SCOPE, bind(port));
    assertEquals(fleet.bindFailures(), []);
    assertEquals(await location(port, "a.test"), "http://to-a.test/");
  }));

Deno.test("WorkerFleet: a worker that ends is started again with everything in force", () =>
  withFleet(2, async ({ fleet, port, events }) => {
    await put(fleet, snapshot(1, { hosts: ["a.test"] }));
    await fleet.setBinds(SCOPE, bind(port));
    const back = events.next("worker_restarted");
    fleet.endWorker(0);
    assertEquals(fleet.complete(), false);
    await put(fleet, snapshot(2, { hosts: ["b.test"], changed: ["a.test", "b.test"] }));
    assertEquals(await location(port, "b.test"), "http://to-b.test/");
    await back;
    assert(fleet.complete());
    for (let i = 0; i < 20; i++) {
      assertEquals(await location(port, "b.test"), "http://to-b.test/");
    }
    assertMatch((await fleet.expose()).text, /lgw_proxy_worker_restarts_total 1/);
  }));

/** A Gateway with one UDPRoute to the endpoints `ns/b/1-udp`. */
function datagramSnapshot(): VerifiedSnapshot {
  const resources = new Map<string, Resource>([
    ["listener/ns/gw/dns", {
      kind: "listener",
      name: "dns",
      port: PORT,
      protocol: "UDP",
      hostname: "",
    }],
    ["cluster/ns/b/1/udp", { kind: "cluster", endpoints: "ns/b/1-udp", protocol: "udp" }],
    ["udproute/ns/r", {
      kind: "udproute",
      created: 1,
      listeners: ["dns"],
      hostnames: [],
      rules: [{ backends: [{ weight: 1, cluster: "cluster/ns/b/1/udp" }] }],
    }],
  ]);
  return { scope: SCOPE, lineage: "l", epoch: 1, version: 1, digest: "d1", resources };
}

function bindUdp(port = 0): { socket: Deno.DatagramConn; port: number } {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
  return { socket, port: (socket.addr as Deno.NetAddr).port };
}

/** Asks until there is an answer: a datagram may be lost while nobody has the port. */
async function askUdp(port: number, text: string): Promise<string> {
  const { socket } = bindUdp();
  const target = { transport: "udp" as const, hostname: "127.0.0.1", port };
  const send = () => void socket.send(new TextEncoder().encode(text), target).catch(() => {});
  const again = setInterval(send, 20);
  send();
  try {
    for (;;) {
      // "Nobody has it" comes back as an error.
      const answer = await socket.receive().catch(() => undefined);
      if (answer !== undefined) return new TextDecoder().decode(answer[0]);
    }
  } finally {
    clearInterval(again);
    socket.close();
  }
}

Deno.test("WorkerFleet: one worker has the sockets of UDP, and has them again when it restarts", () =>
  withFleet(2, async ({ fleet, events }) => {
    const backend = bindUdp();
    const echoing = (async () => {
      for await (const [bytes, from] of backend.socket) await backend.socket.send(bytes, from);
    })();
    try {
      fleet.setEndpoints("ns/b/1-udp", {
        kind: "endpoints",
        endpoints: [{
          address: "127.0.0.1",
          port: backend.port,
          ready: true,
          serving: true,
          terminating: false,
        }],
      });
      const taken = bindUdp();
      const binds = {
        kind: "bind" as const,
        ports: [],
        udp: [{ port: PORT, fleetPort: taken.port }],
      };
      await put(fleet, datagramSnapshot());
      await fleet.setBinds(SCOPE, binds);
      // Told once, however many workers there are.
      assertEquals(fleet.bindFailures().map(({ fleetPort }) => fleetPort), [taken.port]);
      assertEquals([fleet.boundPorts(), fleet.complete()], [[], false]);
      taken.socket.close();
      await fleet.setBinds(SCOPE, binds);
      assertEquals([fleet.bindFailures(), fleet.boundPorts()], [[], [taken.port]]);
      assert(fleet.complete());
      assertEquals(await askUdp(taken.port, "one"), "one");
      // The other worker has nothing to do with it.
      const other = events.next("worker_restarted");
      fleet.endWorker(1);
      assertEquals(fleet.boundPorts(), [taken.port]);
      assertEquals(await askUdp(taken.port, "two"), "two");
      await other;
      const back = events.next("worker_restarted");
      fleet.endWorker(0);
      assertEquals([fleet.boundPorts(), fleet.complete()], [[], false]);
      await back;
      assertEquals(await askUdp(taken.port, "three"), "three");
      // Bound at the second try, maybe: the one that ended had the port until just then.
      while (!fleet.complete()) await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals(fleet.boundPorts(), [taken.port]);
    } finally {
      backend.socket.close();
      await echoing;
    }
  }));
