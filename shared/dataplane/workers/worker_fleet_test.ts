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
