import { assert, assertEquals } from "@std/assert";
import type { InboundConnection, InboundRequest, RequestHandler } from "../request/types.ts";
import type { Limits } from "../request/limits.ts";
import { type CoreOptions, type TestCore, testCore } from "../request/testing_core.ts";
import {
  answeringOrigin,
  type Origin,
  rawRequest,
  readUntil,
  startOrigin,
} from "../upstream/testing_origin.ts";
import { type NativeConnection, serveNative } from "./native.ts";
import { createNativeEngine, type NativeEngine } from "./native_engine.ts";

interface Rig {
  port: number;
  core: TestCore;
  connections: Set<NativeConnection>;
}

interface RigOptions {
  origin?: Origin;
  limits?: Partial<Limits>;
  handler?: (core: TestCore) => RequestHandler;
  rules?: CoreOptions["rules"];
  engine?: NativeEngine;
}

async function withRig(options: RigOptions, run: (rig: Rig) => Promise<void>): Promise<void> {
  const origin = options.origin ?? echo();
  const core = testCore({
    rules: options.rules ?? [{}],
    backends: { a: origin.port },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const engine = options.engine ?? await createNativeEngine();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<NativeConnection>();
  const handler = options.handler?.(core) ?? core.handler;
  const loop = (async () => {
    for await (const conn of listener) {
      const connection: InboundConnection = {
        scheme: "http",
        remoteAddress: conn.remoteAddr.hostname,
        remotePort: conn.remoteAddr.port,
        port: 80,
        scope: "gateway/d/g",
        sni: "",
        table: () => core.table.ports.get(80),
        snapshotVersion: () => core.table.version,
      };
      const { client: { deadlines }, limits, stats } = core;
      connections.add(serveNative(conn, connection, handler, { engine, limits, deadlines, stats }));
    }
  })();
  try {
    await run({ port: listener.addr.port, core, connections });
  } finally {
    listener.close();
    await loop;
    for (const connection of connections) connection.abort();
    await Promise.all([...connections].map((connection) => connection.finished));
    await engine.close();
    core.close();
    await origin.close();
  }
}

function echo(): Origin {
  return answeringOrigin((head) =>
    `HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: ${head.length}\r\n\r\n${head}`
  );
}

const CLOSE = "Host: example.com\r\nConnection: close\r\n\r\n";

function status(answer: string): number {
  return Number(answer.split(" ", 2)[1]);
}

Deno.test("createNativeEngine() passes its self-test on the pinned Deno", async () => {
  assertEquals((await createNativeEngine()).mode, "internal");
});

for (const internals of [true, false]) {
  const name = internals ? "internals" : "the public API";
  Deno.test(`serveNative() proxies over ${name}: raw target, headers, repeats, keep-alive`, async () => {
    const engine = await createNativeEngine({ internals });
    await withRig({ engine }, async ({ port }) => {
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
}

Deno.test("serveNative() refuses requests that are ambiguous or not addressed", async () => {
  await withRig({}, async ({ port }) => {
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
    ];
    for (const request of requests) {
      assertEquals(status(await rawRequest(port, request)), 400, JSON.stringify(request));
    }
    const connect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n";
    assertEquals(status(await rawRequest(port, connect)), 405);
  });
});

Deno.test("serveNative() lets the authority of an absolute target outrank Host", async () => {
  await withRig({}, async ({ port }) => {
    const answer = await rawRequest(port, `GET http://abs.example/x HTTP/1.1\r\n${CLOSE}`);
    assert(answer.includes("GET /x HTTP/1.1\r\nhost: abs.example\r\n"), answer);
    const star = await rawRequest(port, `OPTIONS * HTTP/1.1\r\n${CLOSE}`);
    assert(star.includes("OPTIONS * HTTP/1.1\r\n"), star);
  });
});

Deno.test("serveNative() refuses 100 kB of headers, and smaller bounds of its own", async () => {
  const bulk = (bytes: number) => `GET / HTTP/1.1\r\nX-Bulk: ${"x".repeat(bytes)}\r\n${CLOSE}`;
  await withRig({}, async ({ port }) => {
    // The engine answers, or just closes.
    const answer = await rawRequest(port, bulk(100_000)).catch(() => "");
    assert(answer === "" || status(answer) >= 400, answer);
  });
  await withRig({ limits: { maxHeadBytes: 4096, maxHeaders: 10 } }, async ({ port, core }) => {
    assertEquals(status(await rawRequest(port, bulk(5000))), 431);
    const many = `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(20)}${CLOSE}`;
    assertEquals(status(await rawRequest(port, many)), 431);
    assertEquals([...core.stats.limits], [["max_head_bytes", 1], ["max_headers", 1]]);
  });
});

Deno.test("serveNative() cuts a head that comes too slowly, and an idle connection", async () => {
  await withRig({ limits: { headTimeout: 30, keepAliveTimeout: 40 } }, async ({ port, core }) => {
    assertEquals(await rawRequest(port, "GET / HTTP/1.1\r\nHo"), "");
    const answer = await rawRequest(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals(status(answer), 200);
    assertEquals([...core.stats.limits], [["head_timeout", 1], ["keep_alive_timeout", 1]]);
  });
});

Deno.test("serveNative() answers 408 when a request body stalls", async () => {
  await withRig({ limits: { bodyIdleTimeout: 30 } }, async ({ port }) => {
    const request = `POST / HTTP/1.1\r\nContent-Length: 10\r\n${CLOSE}abc`;
    assertEquals(status(await rawRequest(port, request)), 408);
  });
});

Deno.test("serveNative() passes request bodies on: chunked, large, and of any pace", async () => {
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
  await withRig({ origin }, async ({ port }) => {
    const big = "x".repeat(300_000);
    await rawRequest(port, `POST / HTTP/1.1\r\nContent-Length: ${big.length}\r\n${CLOSE}${big}`);
    assertEquals(bodies[0]!.length, big.length);
    const chunked = `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${CLOSE}`;
    await rawRequest(port, `${chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
    assertEquals(bodies[1]!.replace(/\r\n/g, "").replace(/[0-9]/g, ""), "abcde");
  });
});

Deno.test("serveNative() streams an answer as it comes", async () => {
  const seen = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    await seen.promise;
    await c.send("4\r\nlast\r\n0\r\n\r\n");
    await c.gone();
  });
  await withRig({ origin }, async ({ port, core }) => {
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

Deno.test("serveNative() holds the endpoint back when the client does not read", async () => {
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
  await withRig({ origin }, async ({ port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode(`GET / HTTP/1.1\r\n${CLOSE}`));
    await paused.promise;
    assert(sent < 48 * 1024 * 1024, `${sent} bytes were taken from the endpoint`);
    conn.close();
  });
});

Deno.test("serveNative() closes a connection whose client stopped reading", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n`);
    for (;;) await c.send("x".repeat(64 * 1024));
  });
  await withRig(
    { origin, limits: { responseIdleTimeout: 60 } },
    async ({ port, core, connections }) => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(new TextEncoder().encode(`GET / HTTP/1.1\r\n${CLOSE}`));
      await readUntil(conn, "\r\n\r\n");
      await [...connections][0]!.finished;
      assertEquals([...core.stats.limits], [["response_idle_timeout", 1]]);
      conn.close();
    },
  );
});

Deno.test("serveNative() survives an endpoint that closes in the middle of an answer", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  });
  await withRig({ origin }, async ({ port, core }) => {
    const answer = await rawRequest(port, `GET / HTTP/1.1\r\n${CLOSE}`);
    assert(answer.includes("first") && !answer.endsWith("0\r\n\r\n"), answer);
    assertEquals((await core.log())[0]!.reason, "upstream_reset");
  });
});

Deno.test("serveNative() lets go of the endpoint when the client leaves in an answer", async () => {
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
  await withRig({ origin }, async ({ port, core }) => {
    await rawRequest(port, `GET / HTTP/1.1\r\n${CLOSE}`, "first");
    await gone.promise;
    assertEquals(core.client.connections(), 0);
  });
});

Deno.test("serveNative() tells the core when a client leaves before the answer", async () => {
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    asked.resolve();
    await c.gone();
    gone.resolve();
  });
  await withRig({ origin }, async ({ port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    await asked.promise;
    conn.close();
    await gone.promise;
  });
});

Deno.test("serveNative() answers HEAD, 204 and 304 without body", async () => {
  const origin = answeringOrigin((head) => {
    if (head.startsWith("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    if (head.startsWith("GET /204")) return "HTTP/1.1 204 No Content\r\n\r\n";
    return "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n";
  });
  await withRig({ origin }, async ({ port }) => {
    const head = await rawRequest(port, `HEAD / HTTP/1.1\r\n${CLOSE}`);
    assert(/content-length: 5\r\n/i.test(head) && head.endsWith("\r\n\r\n"), head);
    for (const code of [204, 304]) {
      const answer = await rawRequest(port, `GET /${code} HTTP/1.1\r\n${CLOSE}`);
      assertEquals([status(answer), answer.endsWith("\r\n\r\n")], [code, true]);
    }
  });
});

Deno.test("serveNative() answers 502 for a status that it cannot relay", async () => {
  const origin = answeringOrigin(() => "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n");
  await withRig({ origin }, async ({ port }) => {
    assertEquals(status(await rawRequest(port, `GET / HTTP/1.1\r\n${CLOSE}`)), 502);
  });
});

Deno.test("serveNative() closes the connection after an answer that says so", async () => {
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
  await withRig({ handler }, async ({ port }) => {
    assertEquals(status(await rawRequest(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
  });
});

Deno.test("drain() finishes what runs, then closes", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    asked.resolve();
    await answer.promise;
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await c.gone();
  });
  await withRig({ origin }, async ({ port, connections }) => {
    const text = rawRequest(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await asked.promise;
    const drained = [...connections][0]!.drain();
    answer.resolve();
    await drained;
    assert((await text).endsWith("ok"));
  });
});

Deno.test("serveNative() speaks HTTP/2 with prior knowledge", async () => {
  await withRig({}, async ({ port }) => {
    const { connect } = await import("node:http2");
    const session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request({
      ":method": "POST",
      ":path": "/h2?x",
      ":authority": "example.com",
      "x-a": "1",
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    let code: unknown;
    let body = "";
    stream.on("response", (headers) => code = headers[":status"]);
    stream.on("data", (chunk: Uint8Array) => body += new TextDecoder().decode(chunk));
    stream.on("end", () => resolve());
    stream.end("abc");
    await promise;
    assertEquals(code, 200);
    assert(body.startsWith("POST /h2?x HTTP/1.1\r\nhost: example.com\r\nx-a: 1\r\n"), body);
    const closed = Promise.withResolvers<void>();
    session.close(() => closed.resolve());
    await closed.promise;
  });
});
