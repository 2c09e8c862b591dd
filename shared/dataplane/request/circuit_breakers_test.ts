import { assert, assertEquals } from "@std/assert";
import * as h2 from "../http2/protocol.ts";
import { startPeerOrigin } from "../http2/testing_origin.ts";
import { settings } from "../http2/testing_peer.ts";
import { startOrigin } from "../upstream/testing_origin.ts";
import type { Origin } from "../upstream/testing_origin.ts";
import { setPorts, testCore } from "./testing_core.ts";
import type { CoreOptions, TestCore } from "./testing_core.ts";

/** Origins that hold every answer until they are told, and tell how many requests they hold. */
function holding(count: number) {
  const release = Promise.withResolvers<void>();
  const state = { held: 0 };
  const origins: Origin[] = Array.from({ length: count }, () =>
    startOrigin(async (c) => {
      for (let head = await c.head(); head !== null; head = await c.head()) {
        state.held++;
        await release.promise;
        await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    }));
  return { origins, state, release: release.resolve };
}

async function withHolding(
  count: number,
  limits: CoreOptions["limits"],
  test: (core: TestCore, of: ReturnType<typeof holding>) => Promise<void>,
): Promise<void> {
  const of = holding(count);
  const core = testCore({ rules: [{}], backends: { a: null }, ...(limits && { limits }) });
  setPorts(core, of.origins.map(({ port }) => port));
  try {
    await test(core, of);
  } finally {
    of.release();
    core.close();
    for (const origin of of.origins) await origin.close();
  }
}

function loadOf(core: TestCore) {
  for (const [key, { load }] of core.endpoints.observed()) if (key === "d/a/80") return load;
  throw new Error("no such set");
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn === 20_000) throw new Error("it never came to that");
    await new Promise((resolve) => setTimeout(resolve));
  }
}

Deno.test("requests to a backend beyond the bound are 503 at once, and let in again when others end", async () => {
  await withHolding(2, { maxBackendRequests: 3 }, async (core, { state, release }) => {
    const load = loadOf(core);
    const running = Array.from({ length: 3 }, () => core.ask());
    await until(() => state.held === 3);
    const refused = await Promise.all(Array.from({ length: 5 }, () => core.ask()));
    assertEquals(refused.map(({ status, body }) => `${status} ${body.trim()}`), [
      ...Array.from({ length: 5 }, () => "503 too many requests to the backend"),
    ]);
    assertEquals([load.requests, load.opens.requests], [3, 1]);
    assertEquals((await core.log()).map(({ reason }) => reason), [
      ...Array.from({ length: 5 }, () => "circuit_open"),
    ]);
    assertEquals(core.stats.limits.get("max_backend_requests"), 5);
    release();
    assertEquals((await Promise.all(running)).map(({ status }) => status), [200, 200, 200]);
    assertEquals(load.requests, 0);
    assertEquals((await core.ask()).status, 200);
  });
});

Deno.test("connections to a backend are bounded over its endpoints; requests wait, none is lost", async () => {
  await withHolding(2, { maxBackendConnections: 3 }, async (core, { origins, state, release }) => {
    const load = loadOf(core);
    const running = Array.from({ length: 50 }, () => core.ask());
    await until(() => state.held === 3 && load.pending === 47);
    assertEquals([load.connections, load.opens.connections], [3, 1]);
    release();
    assert((await Promise.all(running)).every(({ status }) => status === 200));
    assertEquals(origins.reduce((sum, { accepted }) => sum + accepted, 0), 3);
    assertEquals([load.pending, load.requests, load.connections], [0, 0, 3]);
    core.client.close();
    assertEquals(load.connections, 0);
  });
});

Deno.test("one connection to each endpoint there may always be", async () => {
  await withHolding(4, { maxBackendConnections: 1 }, async (core, { origins, release }) => {
    const running = Array.from({ length: 8 }, () => core.ask());
    await until(() => origins.every(({ accepted }) => accepted === 1));
    release();
    assert((await Promise.all(running)).every(({ status }) => status === 200));
    assertEquals(origins.map(({ accepted }) => accepted), [1, 1, 1, 1]);
  });
});

Deno.test("requests that wait for a backend are bounded over its endpoints", async () => {
  const limits = { maxBackendConnections: 2, maxBackendPendingRequests: 3 };
  await withHolding(2, limits, async (core, { state, release }) => {
    const load = loadOf(core);
    const running = Array.from({ length: 2 }, () => core.ask());
    await until(() => state.held === 2);
    for (let i = 0; i < 3; i++) running.push(core.ask());
    await until(() => load.pending === 3);
    const refused = await Promise.all(Array.from({ length: 4 }, () => core.ask()));
    assert(refused.every(({ status }) => status === 503));
    assert((await core.log()).every(({ reason }) => reason === "upstream_overflow"));
    assertEquals([load.pending, load.opens.pending], [3, 1]);
    release();
    assert((await Promise.all(running)).every(({ status }) => status === 200));
    assertEquals(load.pending, 0);
  });
});

Deno.test("a full queue of one endpoint counts for its set, and a connection that fails for nothing", async () => {
  const limits = { maxUpstreamConnections: 1, maxPendingRequests: 1 };
  await withHolding(1, limits, async (core, { state, release, origins }) => {
    const load = loadOf(core);
    const running = [core.ask()];
    await until(() => state.held === 1);
    running.push(core.ask());
    await until(() => load.pending === 1);
    assertEquals((await core.ask()).status, 503);
    assertEquals(load.opens.endpoint_pending, 1);
    release();
    await Promise.all(running);
    await origins[0]!.close();
    assertEquals((await core.ask()).status, 503);
    assertEquals([load.connections, load.pending, load.requests], [0, 0, 0]);
  });
});

Deno.test("over HTTP/2 connections to a backend are bounded as well", async () => {
  const release = Promise.withResolvers<void>();
  let asked = 0;
  const origin = startPeerOrigin(async (peer) => {
    await peer.send(settings([h2.MAX_CONCURRENT_STREAMS, 1]));
    for (;;) {
      const request = await peer.nextOf(h2.HEADERS);
      if (request === null) return;
      asked++;
      await release.promise;
      await peer.send(peer.headers(request.stream, [":status", "200"]));
    }
  });
  const core = testCore({
    rules: [{}],
    backends: { a: origin.port },
    protocol: "h2c",
    limits: { maxBackendConnections: 1, maxBackendPendingRequests: 2 },
  });
  const load = loadOf(core);
  const running = [core.ask()];
  await until(() => asked === 1);
  running.push(core.ask(), core.ask());
  await until(() => load.pending === 2);
  assertEquals((await core.ask()).status, 503);
  assertEquals([load.connections, load.opens.pending], [1, 1]);
  release.resolve();
  assert((await Promise.all(running)).every(({ status }) => status === 200));
  assertEquals([load.requests, load.pending], [0, 0]);
  core.close();
  await origin.close();
});
