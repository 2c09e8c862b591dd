/** The HTTP/1.1 codec in plaintext, with the request core and raw backends behind it. */
import { connect } from "node:net";
import { assert, assertEquals } from "@std/assert";
import type { InboundRequest, RequestHandler } from "../request/types.ts";
import type { TestCore } from "../request/testing_core.ts";
import { answeringOrigin, rawRequest, readUntil, startOrigin } from "../upstream/testing_origin.ts";
import { withPlaintext } from "./testing_plaintext.ts";

const CLOSE = "Host: example.com\r\nConnection: close\r\n\r\n";

function status(answer: string): number {
  return Number(answer.split(" ", 2)[1]);
}

Deno.test("openHttp1() proxies in plaintext: raw target, headers, repeats, keep-alive", async () => {
  await withPlaintext({}, async ({ port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const send = (text: string) => conn.write(new TextEncoder().encode(text));
    await send("GET //a/%2Fb?%20&c HTTP/1.1\r\nHost: Example.com:81\r\nX-A: 1\r\n\r\n");
    const first = await readUntil(conn, "x-forwarded-port: 80\r\n\r\n");
    assert(first.startsWith("HTTP/1.1 200 OK\r\n"), first);
    assert(first.toLowerCase().includes("set-cookie: a\r\nset-cookie: b\r\n"));
    assert(first.includes("GET //a/%2Fb?%20&c HTTP/1.1\r\nhost: Example.com:81\r\nx-a: 1\r\n"));
    assertEquals(first.match(/content-length/gi)!.length, 1);
    assertEquals(first.match(/date: /gi)!.length, 1);
    await send(`POST /two HTTP/1.1\r\nContent-Length: 3\r\n${CLOSE}abc`);
    const second = await readUntil(conn);
    assert(second.includes("POST /two HTTP/1.1\r\n") && second.includes("content-length: 3\r\n"));
    conn.close();
  });
});

Deno.test("openHttp1() refuses requests that are ambiguous or not addressed", async () => {
  await withPlaintext({}, async ({ port }) => {
    const requests = [
      "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
      `GET /a/../b HTTP/1.1\r\n${CLOSE}`,
      `GET /%2e%2E/b HTTP/1.1\r\n${CLOSE}`,
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
      "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for (const request of requests) {
      assertEquals(status(await rawRequest(port, request)), 400, JSON.stringify(request));
    }
    const coding = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assertEquals(status(await rawRequest(port, coding)), 501);
    const connect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n";
    assertEquals(status(await rawRequest(port, connect)), 405);
  });
});

Deno.test("openHttp1() lets the authority of an absolute target outrank Host", async () => {
  await withPlaintext({}, async ({ port }) => {
    const answer = await rawRequest(port, `GET http://abs.example/x HTTP/1.1\r\n${CLOSE}`);
    assert(answer.includes("GET /x HTTP/1.1\r\nhost: abs.example\r\n"), answer);
    const star = await rawRequest(port, `OPTIONS * HTTP/1.1\r\n${CLOSE}`);
    assert(star.includes("OPTIONS * HTTP/1.1\r\n"), star);
  });
});

Deno.test("openHttp1() refuses 100 kB of headers, and smaller bounds of its own", async () => {
  const bulk = (bytes: number) => `GET / HTTP/1.1\r\nX-Bulk: ${"x".repeat(bytes)}\r\n${CLOSE}`;
  await withPlaintext({}, async ({ port }) => {
    assertEquals(status(await rawRequest(port, bulk(100_000))), 431);
  });
  await withPlaintext(
    { limits: { maxHeadBytes: 4096, maxHeaders: 10 } },
    async ({ port, core }) => {
      assertEquals(status(await rawRequest(port, bulk(5000))), 431);
      const many = `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(20)}${CLOSE}`;
      assertEquals(status(await rawRequest(port, many)), 431);
      assertEquals([...core.stats.limits], [["head_bytes", 2]]);
    },
  );
});

Deno.test("openHttp1() cuts a head that comes too slowly, and an idle connection", async () => {
  await withPlaintext({ limits: { headTimeout: 200 } }, async ({ port, core }) => {
    assertEquals(await rawRequest(port, "GET / HTTP/1.1\r\nHo"), "");
    assertEquals([...core.stats.limits], [["head_timeout", 1]]);
  });
  await withPlaintext({ limits: { keepAliveTimeout: 40 } }, async ({ port, core }) => {
    const answer = await rawRequest(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals(status(answer), 200);
    assertEquals([...core.stats.limits], [["keep_alive_timeout", 1]]);
  });
});

Deno.test("openHttp1() answers 408 when a request body stalls", async () => {
  await withPlaintext({ limits: { bodyIdleTimeout: 30 } }, async ({ port }) => {
    const request = `POST / HTTP/1.1\r\nContent-Length: 10\r\n${CLOSE}abc`;
    assertEquals(status(await rawRequest(port, request)), 408);
  });
});

Deno.test("openHttp1() answers 408 when the body of Expect: 100-continue never comes", async () => {
  await withPlaintext({ limits: { bodyIdleTimeout: 30 } }, async ({ port }) => {
    const request = `POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n${CLOSE}`;
    const answer = await rawRequest(port, request);
    assert(answer.startsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "), answer);
  });
});

Deno.test("openHttp1() passes request bodies on: chunked, large, and of any pace", async () => {
  const bodies: string[] = [];
  const origin = startOrigin(async (c) => {
    for (let head = await c.head(); head !== null; head = await c.head()) {
      const sized = /content-length: (\d+)/.exec(head);
      let body = "";
      if (sized !== null) body = await c.body(Number(sized[1]));
      else while (!body.endsWith("0\r\n\r\n")) body += await c.body(1);
      bodies.push(body);
      await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
  });
  await withPlaintext({ origin }, async ({ port }) => {
    const big = "x".repeat(300_000);
    await rawRequest(port, `POST / HTTP/1.1\r\nContent-Length: ${big.length}\r\n${CLOSE}${big}`);
    assertEquals(bodies[0]!.length, big.length);
    const chunked = `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${CLOSE}`;
    await rawRequest(port, `${chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
    assertEquals(bodies[1]!.replace(/\r\n/g, "").replace(/[0-9]/g, ""), "abcde");
  });
});

Deno.test("openHttp1() streams an answer as it comes", async () => {
  const seen = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    await seen.promise;
    await c.send("4\r\nlast\r\n0\r\n\r\n");
    await c.gone();
  });
  await withPlaintext({ origin }, async ({ port, core }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode(`GET / HTTP/1.1\r\n${CLOSE}`));
    // The rest is only sent once the first part arrived here.
    await readUntil(conn, "first");
    seen.resolve();
    assert((await readUntil(conn)).includes("last"));
    conn.close();
    assertEquals((await core.log())[0]!.bytes_out, 9);
  });
});

Deno.test("openHttp1() holds the endpoint back when the client does not read", async () => {
  const chunk = "x".repeat(64 * 1024);
  const paused = Promise.withResolvers<void>();
  let sent = 0;
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send(`HTTP/1.1 200 OK\r\nContent-Length: ${chunk.length * 2000}\r\n\r\n`);
    for (let i = 0; i < 2000; i++) {
      const timer = setTimeout(paused.resolve, 200);
      await c.send(chunk).finally(() => clearTimeout(timer));
      sent += chunk.length;
    }
  });
  await withPlaintext({ origin }, async ({ port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode(`GET / HTTP/1.1\r\n${CLOSE}`));
    await paused.promise;
    assert(sent < 48 * 1024 * 1024, `${sent} bytes were taken from the endpoint`);
    conn.close();
  });
});

Deno.test("openHttp1() closes a connection whose client stopped reading", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n`);
    for (;;) await c.send("x".repeat(64 * 1024));
  });
  await withPlaintext(
    { origin, limits: { responseIdleTimeout: 60 } },
    async ({ port, core, connections }) => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(new TextEncoder().encode(`GET / HTTP/1.1\r\n${CLOSE}`));
      await readUntil(conn, "\r\n\r\n");
      await [...connections][0]!.finished;
      assertEquals([...core.stats.limits], [["response_timeout", 1]]);
      conn.close();
    },
  );
});

Deno.test("openHttp1() survives an endpoint that closes in the middle of an answer", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  });
  await withPlaintext({ origin }, async ({ port, core }) => {
    const answer = await rawRequest(port, `GET / HTTP/1.1\r\n${CLOSE}`);
    assert(answer.includes("first") && !answer.endsWith("0\r\n\r\n"), answer);
    assertEquals((await core.log())[0]!.reason, "upstream_reset");
  });
});

Deno.test("openHttp1() lets go of the endpoint when the client leaves in an answer", async () => {
  const gone = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    // A write fails once the proxy has closed the connection.
    try {
      for (;;) await c.send(`400\r\n${"x".repeat(1024)}\r\n`);
    } finally {
      gone.resolve();
    }
  });
  await withPlaintext({ origin }, async ({ port, core }) => {
    await rawRequest(port, `GET / HTTP/1.1\r\n${CLOSE}`, "first");
    await gone.promise;
    assertEquals(core.client.connections(), 0);
  });
});

Deno.test("openHttp1() answers HEAD, 204 and 304 without body", async () => {
  const origin = answeringOrigin((head) => {
    if (head.startsWith("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    if (head.startsWith("GET /204")) return "HTTP/1.1 204 No Content\r\n\r\n";
    return "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n";
  });
  await withPlaintext({ origin }, async ({ port }) => {
    const head = await rawRequest(port, `HEAD / HTTP/1.1\r\n${CLOSE}`);
    assert(/content-length: 5\r\n/i.test(head) && head.endsWith("\r\n\r\n"), head);
    for (const code of [204, 304]) {
      const answer = await rawRequest(port, `GET /${code} HTTP/1.1\r\n${CLOSE}`);
      assertEquals([status(answer), answer.endsWith("\r\n\r\n")], [code, true]);
    }
  });
});

Deno.test("openHttp1() closes the connection after an answer that says so", async () => {
  const handler = (core: TestCore): RequestHandler => async (request: InboundRequest) => {
    const response = await core.handler(request);
    return {
      ...response,
      status: 200,
      headers: [],
      body: null,
      close: true,
      done: (o) => response.done(o),
    };
  };
  await withPlaintext({ handler }, async ({ port }) => {
    assertEquals(status(await rawRequest(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
  });
});

Deno.test("ServedHttp1.drain() finishes what runs, then closes", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    asked.resolve();
    await answer.promise;
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await c.gone();
  });
  await withPlaintext({ origin }, async ({ port, connections }) => {
    const text = rawRequest(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await asked.promise;
    const drained = [...connections][0]!.drain();
    answer.resolve();
    await drained;
    assert((await text).endsWith("ok"));
  });
});

Deno.test("openHttp1() keeps idle connections of a server that ends soon, and says so in answers", async () => {
  let ends = false;
  await withPlaintext({ ending: () => ends }, async ({ port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const request = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await conn.write(request);
    const before = await readUntil(conn, "\r\n\r\n");
    assert(!/connection: close/i.test(before), before);
    ends = true;
    await conn.write(request);
    const last = await readUntil(conn);
    assert(/connection: close\r\n/i.test(last), last);
    conn.close();
  });
});

Deno.test("openHttp1() answers a client that closed its sending side", async () => {
  const asked = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    asked.resolve();
    await closed.promise;
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await c.gone();
  });
  await withPlaintext({ origin }, async ({ port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    await asked.promise;
    await conn.closeWrite();
    closed.resolve();
    assert((await readUntil(conn)).endsWith("ok"));
    conn.close();
  });
});

/** Never answers; tells when it was asked, and when the proxy let go. */
function hanging() {
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    asked.resolve();
    await c.gone();
    gone.resolve();
  });
  return { origin, asked: asked.promise, gone: gone.promise };
}

Deno.test("openHttp1() gives a client that closed its sending side a bounded time", async () => {
  const { origin, asked, gone } = hanging();
  const limits = { halfClosedTimeout: 30 };
  await withPlaintext({ origin, limits }, async ({ port, core }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    await asked;
    conn.close();
    await gone;
    assertEquals([...core.stats.limits], [["half_closed_timeout", 1]]);
    assertEquals((await core.log())[0]!.reason, "client_closed");
  });
});

for (const body of [false, true]) {
  const what = body ? "after its body" : "without body";
  Deno.test(`openHttp1() ends a request ${what} at once when its client resets the connection`, async () => {
    const { origin, asked, gone } = hanging();
    await withPlaintext({ origin }, async ({ port, core }) => {
      // Deno's own connections cannot be reset on purpose.
      const socket = connect(port, "127.0.0.1");
      socket.write(
        body
          ? "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
          : "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      );
      await asked;
      socket.resetAndDestroy();
      await gone;
      assertEquals((await core.log()).map(({ reason }) => reason), ["client_closed"]);
      assertEquals([...core.stats.limits], []);
    });
  });
}
