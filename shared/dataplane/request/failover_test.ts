import { assert, assertEquals } from "@std/assert";
import { answeringOrigin, refusingPort, startOrigin } from "../upstream/testing_origin.ts";
import type { Origin } from "../upstream/testing_origin.ts";
import { setPorts, testCore } from "./testing_core.ts";
import type { CoreOptions, TestCore } from "./testing_core.ts";
import type { BodyReader } from "./types.ts";

const NO_RETRY = { retry: { attempts: 0, codes: [] } };
const plain = (status = 200) =>
  answeringOrigin(() => `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);

/** Takes requests and hangs up. */
const hangingUp = () => startOrigin(async (c) => void await c.head());

/** Runs a test with endpoints behind backend `a`, in this order. */
async function withEndpoints(
  origins: readonly (Origin | number)[],
  test: (core: TestCore) => Promise<void>,
  options: Partial<CoreOptions> = {},
): Promise<void> {
  const core = testCore({ rules: [{}], ...options, backends: { a: null } });
  setPorts(core, origins.map((origin) => typeof origin === "number" ? origin : origin.port));
  try {
    await test(core);
  } finally {
    core.close();
    for (const origin of origins) if (typeof origin !== "number") await origin.close();
  }
}

/** A body that comes in pieces, its length unknown. */
function pieces(...texts: string[]): BodyReader {
  const list = texts.map((text) => new TextEncoder().encode(text));
  return { length: -1, read: () => Promise.resolve(list.shift() ?? null), cancel() {} };
}

Deno.test("an endpoint that refuses is nobody's failure while there is another, POST and streams included", async () => {
  let seen = "";
  const good = startOrigin(async (c) => {
    await c.head();
    seen = await c.body("2\r\nab\r\n0\r\n\r\n".length);
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  await withEndpoints([refusingPort(), good], async (core) => {
    assertEquals((await core.ask({ method: "POST", body: pieces("ab") })).status, 200);
    assertEquals(seen, "2\r\nab\r\n0\r\n\r\n");
    assertEquals([...core.stats.failovers], [["connect", 1]]);
    const [line] = await core.log();
    assertEquals([line?.["attempts"], line?.["upstream"]], [2, `127.0.0.1:${good.port}`]);
  });
});

Deno.test("a request goes to a bounded number of other endpoints, each once", async () => {
  const five = Array.from({ length: 5 }, refusingPort);
  await withEndpoints(five, async (core) => {
    assertEquals((await core.ask()).status, 503);
    assertEquals((await core.log())[0]?.["attempts"], 3);
  });
  await withEndpoints(five.slice(0, 2), async (core) => {
    assertEquals((await core.ask()).status, 503);
    assertEquals((await core.log())[0]?.["attempts"], 2);
  });
});

Deno.test("maxFailovers 0, or a route with attempts 0, keeps a request where it was sent", async () => {
  for (const options of [{ limits: { maxFailovers: 0 } }, { rules: [NO_RETRY] }]) {
    await withEndpoints([refusingPort(), plain()], async (core) => {
      assertEquals((await core.ask()).status, 503);
      assertEquals([core.stats.failovers.size, core.stats.routeRetries.size], [0, 0]);
    }, options);
  }
});

Deno.test("what was lost unanswered goes to another endpoint when doing it twice is harmless", async () => {
  for (const [method, status] of [["GET", 200], ["PUT", 200], ["POST", 502]] as const) {
    await withEndpoints([hangingUp(), plain()], async (core) => {
      assertEquals((await core.ask({ method })).status, status);
      assertEquals([...core.stats.failovers], status === 200 ? [["reset", 1]] : []);
    });
  }
});

Deno.test("a kept connection to an endpoint that is gone costs no request", async () => {
  const accepted = Promise.withResolvers<void>();
  const leaving = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await accepted.promise;
    // The next request is on its way when the endpoint goes.
    await c.head();
  });
  const good = plain();
  await withEndpoints([leaving, good], async (core) => {
    assertEquals((await core.ask()).status, 200);
    assertEquals((await core.ask()).status, 200);
    const gone = leaving.close();
    accepted.resolve();
    for (let i = 0; i < 6; i++) assertEquals((await core.ask()).status, 200);
    await gone;
    const lines = await core.log();
    assert(lines.slice(2).every(({ upstream }) => upstream === `127.0.0.1:${good.port}`));
  });
});

Deno.test("an endpoint that terminates finishes what it has and gets nothing new while others are ready", async () => {
  const answer = Promise.withResolvers<void>();
  let asked = 0;
  let closed = false;
  const leaving = startOrigin(async (c) => {
    await c.head();
    asked++;
    await answer.promise;
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await c.gone();
    closed = true;
  });
  const good = plain(201);
  await withEndpoints([leaving, good], async (core) => {
    const running = core.ask();
    while (asked === 0) await new Promise((resolve) => setTimeout(resolve));
    const at = { address: "127.0.0.1", port: leaving.port };
    const listed = (ready: boolean) =>
      core.endpoints.setEndpoints("d/a/80", {
        kind: "endpoints",
        endpoints: [
          { ...at, ready: false, serving: true, terminating: true },
          { ...at, port: good.port, ready, serving: ready, terminating: false },
        ],
      });
    listed(true);
    for (let i = 0; i < 5; i++) assertEquals((await core.ask()).status, 201);
    answer.resolve();
    assertEquals((await running).status, 200);
    // Its connection is not kept for another request.
    while (!closed) await new Promise((resolve) => setTimeout(resolve));
    // It is all that there is.
    listed(false);
    assertEquals((await core.ask()).status, 200);
  });
});

Deno.test("an endpoint that fails is left out for every route of its set, and comes back by one request", async () => {
  let now = 0;
  const bad = refusingPort();
  const good = plain();
  const toA = { weight: 1, cluster: "cluster/d/a/80", filters: [] };
  const rules = ["/one", "/two"].map((value) => ({
    ...NO_RETRY,
    matches: [{ path: { type: "prefix" as const, value } }],
    backends: [toA],
  }));
  await withEndpoints([bad, good], async (core) => {
    const ask = async (target: string) => (await core.ask({ target })).status;
    const before = await Promise.all(Array.from({ length: 10 }, () => ask("/one")));
    assertEquals(before.filter((status) => status === 503).length, 5);
    for (let i = 0; i < 10; i++) assertEquals(await ask("/two"), 200);
    // Its time is over: one request tells that it is not back.
    now = 6_000;
    const probed = [];
    for (let i = 0; i < 10; i++) probed.push(await ask("/two"));
    assertEquals(probed.filter((status) => status === 503).length, 1);
    // It listens again.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: bad });
    const served = (async () => {
      for await (const conn of listener) {
        await conn.read(new Uint8Array(4096));
        await conn.write(new TextEncoder().encode("HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n"));
        conn.close();
      }
    })();
    now = 60_000;
    const back = [];
    for (let i = 0; i < 10; i++) back.push(await ask("/one"));
    assertEquals(back.filter((status) => status === 503).length, 0);
    assert(back.filter((status) => status === 201).length >= 5);
    listener.close();
    await served;
  }, { rules, clock: { monotonic: () => now }, random: () => 0 });
});

Deno.test("an endpoint that answers 503 in a row is left out, a single one never is", async () => {
  await withEndpoints([plain(503), plain()], async (core) => {
    const statuses = [];
    for (let i = 0; i < 40; i++) statuses.push((await core.ask()).status);
    assertEquals(statuses.filter((status) => status === 503).length, 10);
    assertEquals(statuses.slice(20), Array.from({ length: 20 }, () => 200));
  }, { clock: { monotonic: () => 0 } });
  await withEndpoints([plain(503)], async (core) => {
    for (let i = 0; i < 30; i++) assertEquals((await core.ask()).status, 503);
    assertEquals((await core.log()).every(({ reason }) => reason === "ok"), true);
  });
});
