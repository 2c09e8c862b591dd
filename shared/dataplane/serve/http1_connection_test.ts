import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Limits } from "../request/limits.ts";
import {
  ask,
  dial,
  echo,
  first,
  readAll,
  readUntil,
  second,
  send,
  withServer,
} from "./testing_http1.ts";
import type { Handle } from "./testing_http1.ts";

Deno.test("openHttp1() answers pipelined requests in order on one connection", async () => {
  await withServer(echo, async (server) => {
    const text = await ask(
      server,
      "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n" +
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
        "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\nT: 1\r\n\r\n" +
        "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    const bodies = [...text.matchAll(/(GET|POST) (\/\d) (\w*);/g)].map((match) => match[0]);
    assertEquals(bodies, ["GET /1 ;", "POST /2 abc;", "POST /3 def;", "GET /4 ;"]);
    assertEquals(text.match(/connection: close/g)?.length, 1);
    assertEquals(server.outcomes.length, 4);
  });
});

Deno.test("openHttp1() frames streamed answers by length, chunks or the connection's end", async () => {
  const chunks = (length: number): Handle => () => {
    const parts = ["hello ", "", "world"];
    const body = {
      length,
      read: () => {
        const part = parts.shift();
        return Promise.resolve(part === undefined ? null : new TextEncoder().encode(part));
      },
      cancel: () => {},
    };
    return Promise.resolve({ body });
  };
  const close = "Host: a\r\nConnection: close\r\n\r\n";
  await withServer(chunks(-1), async (server) => {
    const chunked = await ask(server, `GET / HTTP/1.1\r\n${close}`);
    assertMatch(
      chunked,
      /transfer-encoding: chunked[^]*\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n$/,
    );
    const plain = await ask(server, `GET / HTTP/1.0\r\n\r\n`);
    assertMatch(plain, /connection: close\r\n\r\nhello world$/);
    assertMatch(await ask(server, `HEAD / HTTP/1.1\r\n${close}`), /\r\n\r\n$/);
  });
  await withServer(chunks(11), async (server) => {
    const text = await ask(server, `GET / HTTP/1.1\r\n${close}`);
    assertMatch(text, /content-length: 11\r\n[^]*\r\n\r\nhello world$/);
  });
  // A body that lies about its length: the client sees a broken connection, never a wrong message.
  for (const length of [5, 20]) {
    await withServer(chunks(length), async (server) => {
      await ask(server, `GET / HTTP/1.1\r\nHost: a\r\n\r\n`);
      await server.served();
      assert(server.outcomes[0]?.error !== undefined);
    });
  }
});

Deno.test("openHttp1() answers heads it refuses with a status and closes", async () => {
  const refused: [string, number][] = [
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(100_000)}\r\n\r\n`, 431],
    ["CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["GET / HTTP/1.1\nHost: a\n\n", 400],
    ["\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n", 413],
  ];
  await withServer(echo, async (server) => {
    for (const [text, status] of refused) {
      const answer = await ask(server, text);
      assertEquals(answer.slice(9, 12), String(status), text.slice(0, 60));
      assertMatch(answer, /connection: close/);
    }
  }, { maxBodyBytes: 1000 });
});

Deno.test("openHttp1() cuts clients that send a head, a body or nothing too slowly", async () => {
  // One short limit at a time: on a busy machine the others must not be first.
  const cases: [text: string, limits: Partial<Limits>, counted: string][] = [
    ["", { headTimeout: 300 }, "head_timeout"],
    ["GET / HT", { headTimeout: 300 }, "head_timeout"],
    [
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
      { bodyIdleTimeout: 60 },
      "body_timeout",
    ],
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", { keepAliveTimeout: 60 }, "keep_alive_timeout"],
  ];
  for (const [text, limits, counted] of cases) {
    await withServer(echo, async (server) => {
      const conn = await dial(server);
      await conn.handshake();
      await send(conn, text);
      await readAll(conn);
      await server.served();
      assertEquals(server.limits, [counted]);
    }, limits);
  }
});

Deno.test("listenTls() cuts a handshake that does not finish", async () => {
  await withServer(echo, async (server) => {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await send(tcp, "\x16\x03\x01");
    assertEquals(await tcp.read(new Uint8Array(1)), null);
    tcp.close();
    assertEquals(server.handshakeFailures, ["timeout"]);
  }, { headTimeout: 60 });
});

Deno.test("openHttp1() sends 100 Continue when the body is wanted", async () => {
  await withServer(echo, async (server) => {
    const conn = await dial(server);
    await send(
      conn,
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
    );
    assertMatch(await readUntil(conn, "\r\n\r\n"), /^HTTP\/1.1 100 Continue\r\n\r\n$/);
    await send(conn, "ok");
    assertMatch(await readAll(conn), /POST \/ ok;$/);
  });
});

Deno.test("openHttp1() closes after an answer that leaves the body unread, without losing it", async () => {
  const early: Handle = () =>
    Promise.resolve({ status: 403, body: new TextEncoder().encode("no") });
  await withServer(early, async (server) => {
    const text = await ask(
      server,
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n${"x".repeat(100_000)}`,
    );
    assertMatch(text, /^HTTP\/1.1 403 [^]*connection: close\r\n\r\nno$/);
  });
});

Deno.test("openHttp1() tells the core when the client goes away", async () => {
  let aborted: () => void;
  const gone = new Promise<void>((resolve) => aborted = resolve);
  let entered: () => void;
  const inside = new Promise<void>((resolve) => entered = resolve);
  const wait: Handle = (request) =>
    new Promise((resolve) => {
      request.onAbort = () => {
        aborted();
        resolve({});
      };
      entered();
    });
  await withServer(wait, async (server) => {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const conn = await Deno.startTls(tcp, { hostname: "localhost", caCerts: [first.certificate] });
    await send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await inside;
    conn.close();
    await gone;
  });
});

Deno.test("openHttp1() stops reading from the core while the client does not read", async () => {
  const chunk = new Uint8Array(64 * 1024);
  let reads = 0;
  let stalled: () => void;
  const quiet = new Promise<void>((resolve) => stalled = resolve);
  const endless: Handle = () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    return Promise.resolve({
      body: {
        length: -1,
        read: () => {
          reads++;
          clearTimeout(timer);
          timer = setTimeout(stalled, 100);
          return Promise.resolve(chunk);
        },
        cancel: () => clearTimeout(timer),
      },
    });
  };
  await withServer(endless, async (server) => {
    const conn = await dial(server);
    await send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await quiet;
    // Socket buffers of both sides, not the memory of the process.
    assert(reads * chunk.length < 32 * 1024 * 1024, `${reads} chunks`);
    conn.close();
    await server.served();
  });
});

Deno.test("CertificateStore answers by server name, falls back to the first, and rotates", async () => {
  await withServer(echo, async (server) => {
    const request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (
      const [name, ca] of [["a.test", first], ["x.wild.test", first], ["b.test", second]] as const
    ) {
      const conn = await dial(server, name, ca);
      await send(conn, request);
      assertMatch(await readAll(conn), /^HTTP\/1.1 200/);
    }
    // The first slot now holds the other certificate; the socket is the same one.
    const open = await dial(server, "a.test");
    await open.handshake();
    const { certificate: chain, key } = second;
    server.certificates.set({ slot: "first", chain, key, fingerprint: "3" });
    const conn = await dial(server, "b.test", second);
    await send(conn, request);
    assertMatch(await readAll(conn), /^HTTP\/1.1 200/);
    await send(open, request);
    assertMatch(await readAll(open), /^HTTP\/1.1 200/);
    assertEquals(server.certificates.summaries()[0]?.names, ["b.test"]);
  });
});

Deno.test("listenTls() closes a handshake whose name nobody serves", async () => {
  await withServer(echo, async (server) => {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const conn = await Deno.startTls(tcp, { hostname: "nobody.test" });
    let failed = false;
    await conn.handshake().catch(() => failed = true);
    try {
      conn.close();
    } catch {
      // A failed handshake closes by itself.
    }
    assert(failed);
    assertEquals(server.handshakeFailures, ["no_certificate"]);
  });
});
