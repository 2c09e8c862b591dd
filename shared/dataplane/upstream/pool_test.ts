import { Breaker } from "./breaker.ts";
import { assertEquals } from "@std/assert";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { UpstreamError } from "./errors.ts";
import { failure, OK, textOf, withRig } from "./testing_client.ts";
import { answeringOrigin } from "./testing_origin.ts";

Deno.test("Http1Client sends an idempotent request again when a pooled connection was dead", async () => {
  let retries = 0;
  await withRig(async (c) => {
    await c.head();
    await c.send(OK);
    // The first connection takes the second request and closes without a word.
    if (c.number === 1) await c.head();
    else for (let head = await c.head(); head !== null; head = await c.head()) await c.send(OK);
  }, async ({ origin, send }) => {
    await send().response;
    assertEquals(await textOf(await send().response), "ok");
    assertEquals(origin.accepted, 2);
    assertEquals(retries, 1);
  }, { onRetry: () => retries++ });
});

Deno.test("Http1Client does not repeat a POST that the endpoint may have seen", async () => {
  await withRig(async (c) => {
    await c.head();
    await c.send(OK);
    await c.head();
  }, async ({ origin, send }) => {
    await send().response;
    assertEquals(await failure(send({ method: "POST" })), "reset");
    assertEquals(origin.accepted, 1);
  });
});

Deno.test("Http1Client never repeats on a fresh connection", async () => {
  await withRig(async (c) => void await c.head(), async ({ origin, send }) => {
    assertEquals(await failure(send()), "reset");
    assertEquals(origin.accepted, 1);
  });
});

Deno.test("Http1Client closes a connection that says something unasked", async () => {
  const unasked = Promise.withResolvers<void>();
  await withRig(async (c) => {
    await c.head();
    await c.send(OK);
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    await c.gone();
    unasked.resolve();
  }, async ({ client, send }) => {
    assertEquals(await textOf(await send().response), "ok");
    await unasked.promise;
    assertEquals(client.connections(), 0);
  });
});

Deno.test("AddressPool queues requests beyond its connections and refuses beyond its queue", async () => {
  const release = Promise.withResolvers<void>();
  await withRig(async (c) => {
    for (let head = await c.head(); head !== null; head = await c.head()) {
      await release.promise;
      await c.send(OK);
    }
  }, async ({ origin, client, send }) => {
    const first = send();
    const second = send();
    assertEquals(await failure(send()), "overflow");
    assertEquals(client.pool(origin).waiting, 2);
    release.resolve();
    await Promise.all([first.response, second.response]);
    assertEquals(origin.accepted, 1);
  }, { limits: { ...DEFAULT_LIMITS, maxUpstreamConnections: 1, maxPendingRequests: 2 } });
});

Deno.test("AddressPool closes connections that were idle for long, and drops empty pools", async () => {
  const closed = Promise.withResolvers<void>();
  await withRig(async (c) => {
    await c.head();
    await c.send(OK);
    await c.gone();
    closed.resolve();
  }, async ({ client, send }) => {
    await send().response;
    await closed.promise;
    assertEquals(client.connections(), 0);
  }, { limits: { ...DEFAULT_LIMITS, upstreamIdleTimeout: 20 } });
});

Deno.test("Http1Client closes idle connections to an address that is gone", async () => {
  await withRig(answeringOrigin(() => OK), async ({ client, origin, send }) => {
    await send().response;
    client.setRetired(origin, true);
    assertEquals(client.connections(), 0);
  });
});

Deno.test("AddressPool carries on after its only connection was stale", async () => {
  const gone = Promise.withResolvers<void>();
  await withRig(async (c) => {
    await c.head();
    await c.send(OK);
    await c.head();
    if (c.number === 1) return;
    await c.gone();
    gone.resolve();
  }, async ({ client, origin, send }) => {
    await send().response;
    // The first connection takes it and closes; the second answers, and is the pool's again.
    await send().response;
    assertEquals([origin.accepted, client.connections()], [2, 1]);
    client.setRetired(origin, true);
    assertEquals(client.connections(), 0);
    await gone.promise;
  });
});

Deno.test("a pool of an address that is out of rotation keeps nothing idle, from its first use on", async () => {
  let retired = true;
  await withRig(answeringOrigin(() => OK), async ({ client, send }) => {
    await send().response;
    assertEquals(client.connections(), 0);
    retired = false;
    await send().response;
    assertEquals(client.connections(), 1);
  }, { isRetired: () => retired });
});

Deno.test("Exchange.abort() ends an exchange and its connection", async () => {
  const gone = Promise.withResolvers<void>();
  await withRig(async (c) => {
    await c.head();
    await c.gone();
    gone.resolve();
  }, async ({ client, send }) => {
    const exchange = send();
    exchange.response.catch(() => {});
    while (client.connections() === 0) await Promise.resolve();
    exchange.abort(new UpstreamError("aborted", "test"));
    assertEquals(await failure(exchange), "aborted");
  });
});

Deno.test("Breaker tells when it opens, not what it refuses", () => {
  const breaker = new Breaker();
  assertEquals([breaker.refused(), breaker.refused()], [true, false]);
  breaker.taken();
  assertEquals(breaker.refused(), true);
});
