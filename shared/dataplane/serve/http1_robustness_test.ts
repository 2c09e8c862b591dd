import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  ask,
  dial,
  echo,
  readAll,
  readBody,
  readUntil,
  send,
  withServer,
} from "./testing_http1.ts";
import type { Handle } from "./testing_http1.ts";

Deno.test("openHttp1() answers 408 when a body stalls", async () => {
  const failing: Handle = async (request) => {
    const problem = await readBody(request).then(() => "", (error) => String(error.kind));
    return { status: 408, body: new TextEncoder().encode(problem), close: true };
  };
  await withServer(failing, async (server) => {
    const text = await ask(server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    assertMatch(text, /^HTTP\/1.1 408 [^]*\r\n\r\ntimeout$/);
  }, { bodyIdleTimeout: 60 });
});

Deno.test("openHttp1() cuts a client that goes on sending and never reads", async () => {
  // The body's bytes must not keep the deadline of the answer away.
  const both: Handle = (request) => {
    void readBody(request).catch(() => {});
    const body = { length: -1, read: () => Promise.resolve(new Uint8Array(65_536)), cancel() {} };
    return Promise.resolve({ body });
  };
  await withServer(both, async (server) => {
    const conn = await dial(server);
    await send(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    await readUntil(conn, "\r\n\r\n");
    let sending = true;
    const sender = (async () => {
      while (sending) {
        await send(conn, "1\r\nx\r\n");
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })().catch(() => {});
    await server.served();
    sending = false;
    await sender;
    try {
      conn.close();
    } catch {
      // Broken already.
    }
    assertEquals(server.limits, ["response_timeout"]);
  }, { responseIdleTimeout: 150 });
});

Deno.test("ServedHttp1.drain() closes idle connections and lets a running request finish", async () => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const slow: Handle = async (request) => {
    if (request.target === "/slow") {
      entered.resolve();
      await release.promise;
    }
    return { body: new TextEncoder().encode("done") };
  };
  await withServer(slow, async (server) => {
    const idle = await dial(server);
    await send(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await readUntil(idle, "done");
    const busy = await dial(server);
    await send(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    await entered.promise;
    const drained = server.drain();
    assertEquals(await readAll(idle), "");
    release.resolve();
    assertMatch(await readAll(busy), /^HTTP\/1.1 200 [^]*connection: close\r\n[^]*done$/);
    await drained;
  });
});

Deno.test("openHttp1() sends no header that would end its line, and no length with a 204", async () => {
  const headers: Record<string, string[]> = {
    "/crlf": ["x", "a\r\nset-cookie: b"],
    "/low": ["x", "a\u010d\u010ab"],
    "/204": ["content-length", "5", "x-ok", "1"],
  };
  const handle: Handle = (request) =>
    Promise.resolve({
      status: request.target === "/204" ? 204 : 200,
      headers: headers[request.target] ?? [],
    });
  await withServer(handle, async (server) => {
    const get = (path: string) =>
      ask(server, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    assertEquals([await get("/crlf"), await get("/low")], ["", ""]);
    assertEquals(server.outcomes.filter(({ error }) => error !== undefined).length, 2);
    const answer = await get("/204");
    assertMatch(answer, /x-ok: 1/);
    assert(!answer.includes("content-length"));
  });
});

Deno.test("listenTls() counts clients that do not speak TLS, or leave before the end", async () => {
  await withServer(echo, async (server) => {
    const plain = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await send(plain, "GET / HTTP/1.1\r\n\r\n");
    await readAll(plain).catch(() => "");
    const gone = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await send(gone, "\x16\x03\x01");
    await gone.closeWrite();
    await readAll(gone).catch(() => "");
    while (server.handshakeFailures.length < 2) await new Promise((next) => setTimeout(next, 1));
    assertEquals(server.handshakeFailures, ["protocol", "closed"]);
  });
});
