/** Upgrades of HTTP/1.1, with the request core and raw backends behind. */
import { connect } from "node:net";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { answeringOrigin, rawRequest, readUntil, startOrigin } from "../upstream/testing_origin.ts";
import { offeredProtocols } from "./offered_protocols.ts";
import { withPlaintext } from "./testing_plaintext.ts";

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n" +
  "Upgrade: Lines/1, other\r\nSec-WebSocket-Key: k==\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines/1\r\n" +
  "Sec-WebSocket-Accept: a==\r\nX-Origin: 1\r\n\r\n";

async function open(port: number, text = UPGRADE): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(text));
  return conn;
}

const send = (conn: Deno.TcpConn, text: string) => conn.write(new TextEncoder().encode(text));

Deno.test("openHttp1() passes an upgrade on, then bytes both ways, each direction to its end", async () => {
  let head: string | null = "";
  const origin = startOrigin(async (c) => {
    head = await c.head();
    // The first bytes of the new protocol come with the answer.
    await c.send(`${SWITCHED}hello `);
    const asked = await c.body(5);
    await c.send(`you said ${asked}`);
    await c.conn.closeWrite();
    // Still reading: the client's direction ends later.
    await c.send("").catch(() => {});
    assertEquals(await c.body(4), "bye!");
    await c.gone();
  });
  const rules = [{
    filters: [
      { type: "requestHeaders" as const, set: [{ name: "x-in", value: "1" }] },
      { type: "responseHeaders" as const, set: [{ name: "x-out", value: "1" }] },
    ],
  }];
  await withPlaintext({ origin, rules }, async ({ port, core }) => {
    const conn = await open(port);
    const answer = await readUntil(conn, "hello ");
    assertMatch(
      answer,
      /^HTTP\/1.1 101 [^]*connection: upgrade\r\nupgrade: lines\/1\r\n\r\nhello $/,
    );
    assert(answer.includes("sec-websocket-accept: a==\r\n"), answer);
    assert(answer.includes("x-out: 1\r\n") && !answer.includes("content-length"), answer);
    assert(head?.includes("connection: upgrade\r\nupgrade: Lines/1, other\r\n"), head ?? "");
    assert(head?.includes("sec-websocket-key: k==\r\n") && head.includes("x-in: 1\r\n"));
    assertEquals(core.stats.tunnels, 1);
    await send(conn, "howdy");
    assertEquals(await readUntil(conn), "you said howdy");
    await send(conn, "bye!");
    await conn.closeWrite();
    assertEquals(await readUntil(conn), "");
    conn.close();
    while (core.client.connections() > 0 || core.stats.tunnels > 0) await turn();
    const [line] = await core.log();
    assertEquals(
      [line!.status, line!.reason, line!.bytes_in, line!.bytes_out],
      [101, "ok", 9, 20],
    );
    assertEquals([core.stats.tunnelBytesIn, core.stats.tunnelBytesOut], [9, 20]);
  });
});

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

Deno.test("openHttp1() lets a backend refuse an upgrade, and goes on with HTTP", async () => {
  let connections = 0;
  const origin = answeringOrigin((head, number) => {
    connections = number;
    const body = head.includes("upgrade:") ? "no" : "plain";
    return `HTTP/1.1 ${body === "no" ? 426 : 200} X\r\nUpgrade: foo\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
  });
  await withPlaintext({ origin }, async ({ port, core }) => {
    const conn = await open(port);
    assertMatch(await readUntil(conn, "no"), /^HTTP\/1.1 426 /);
    await send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertMatch(await readUntil(conn, "plain"), /^HTTP\/1.1 200 /);
    conn.close();
    // The connection that was asked to switch carries nothing else.
    assertEquals(connections, 2);
    assertEquals(core.stats.tunnels, 0);
  });
});

Deno.test("openHttp1() refuses a backend that switches unasked, or to something else", async () => {
  const switching = answeringOrigin(() => SWITCHED);
  await withPlaintext({ origin: switching }, async ({ port, core }) => {
    const close = "Host: a\r\nConnection: close\r\n\r\n";
    assertMatch(await rawRequest(port, `GET / HTTP/1.1\r\n${close}`), /^HTTP\/1.1 502 /);
    const other = UPGRADE.replace("Lines/1, other", "other").replace("keep-alive", "close");
    assertMatch(await rawRequest(port, other), /^HTTP\/1.1 502 /);
    assertEquals(core.client.connections(), 0);
  });
});

Deno.test("openHttp1() serves an upgrade as plain HTTP when it is not one that may be passed", async () => {
  const heads: string[] = [];
  const origin = answeringOrigin((head) => {
    heads.push(head);
    return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  });
  await withPlaintext({ origin }, async ({ port }) => {
    const requests = [
      // Not nominated, so not for us.
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n" +
      "Connection: upgrade, http2-settings, close\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n" +
      "Content-Length: 1\r\n\r\nx",
    ];
    for (const request of requests) {
      assertMatch(await rawRequest(port, request), /^HTTP\/1.1 200 /);
    }
    for (const head of heads) assert(!/upgrade|http2-settings/i.test(head), head);
  });
});

Deno.test("offeredProtocols() leaves HTTP itself out", () => {
  const cases: [string, string][] = [
    ["websocket", "websocket"],
    ["h2c", ""],
    ["HTTP/2.0, websocket", "websocket"],
    ["websocket, H2C , irc/6.9", "websocket, irc/6.9"],
  ];
  for (const [upgrade, offered] of cases) assertEquals(offeredProtocols(upgrade), offered);
});

/** Switches, then says nothing; tells when the proxy let go. */
function silent() {
  const gone = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send(SWITCHED);
    await c.gone();
    gone.resolve();
  });
  return { origin, gone: gone.promise };
}

Deno.test("a tunnel is closed on both sides when neither sends anything for too long", async () => {
  const { origin, gone } = silent();
  const limits = { tunnelIdleTimeout: 50 };
  await withPlaintext({ origin, limits }, async ({ port, core }) => {
    const conn = await open(port);
    await readUntil(conn);
    conn.close();
    await gone;
    const [line] = await core.log();
    assertEquals([line!.status, line!.reason], [101, "tunnel_idle"]);
    assertEquals([...core.stats.limits], [["tunnel_idle_timeout", 1]]);
  });
});

Deno.test("a tunnel outlives the route's timeouts, which end with the 101", async () => {
  const { origin, gone } = silent();
  const limits = { tunnelIdleTimeout: 600 };
  const rules = [{ timeouts: { request: 300, backendRequest: 250 } }];
  await withPlaintext({ origin, limits, rules }, async ({ port, core }) => {
    const conn = await open(port);
    await readUntil(conn);
    conn.close();
    await gone;
    assertEquals((await core.log())[0]!.reason, "tunnel_idle");
  });
});

Deno.test("a tunnel whose client resets the connection is closed towards the backend", async () => {
  const { origin, gone } = silent();
  await withPlaintext({ origin }, async ({ port, core }) => {
    const socket = connect(port, "127.0.0.1");
    socket.write(UPGRADE);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.resetAndDestroy();
    await gone;
    while (core.stats.tunnels > 0) await turn();
    const [line] = await core.log();
    assertEquals([line!.status, line!.reason], [101, "client_closed"]);
    assertEquals(core.client.connections(), 0);
  });
});

Deno.test("a tunnel whose backend resets the connection is closed towards the client", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    // What is not read makes the close a reset.
    await c.send(`${SWITCHED}x`);
    await c.conn.read(new Uint8Array(1));
  });
  await withPlaintext({ origin }, async ({ port, core }) => {
    const conn = await open(port);
    await readUntil(conn, "x");
    await send(conn, "yy".repeat(1000));
    await readUntil(conn);
    conn.close();
    while (core.stats.tunnels > 0) await turn();
    assertEquals(core.client.connections(), 0);
    assertEquals((await core.log())[0]!.status, 101);
  });
});

Deno.test("a tunnel holds either side back while the other does not read", async () => {
  const chunk = "x".repeat(64 * 1024);
  const quiet = Promise.withResolvers<void>();
  let sent = 0;
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send(SWITCHED);
    for (;;) {
      const timer = setTimeout(quiet.resolve, 200);
      await c.send(chunk).finally(() => clearTimeout(timer));
      sent += chunk.length;
    }
  });
  await withPlaintext({ origin }, async ({ port }) => {
    const conn = await open(port);
    await quiet.promise;
    assert(sent < 48 * 1024 * 1024, `${sent} bytes were taken from the endpoint`);
    conn.close();
  });
});

Deno.test("drain() gives a tunnel a bounded time, then closes both sides", async () => {
  const { origin, gone } = silent();
  const limits = { tunnelDrainTimeout: 50 };
  await withPlaintext({ origin, limits }, async ({ port, core, connections }) => {
    const conn = await open(port);
    await readUntil(conn, "\r\n\r\n");
    await [...connections][0]!.drain();
    assertEquals(await readUntil(conn), "");
    conn.close();
    await gone;
    assertEquals((await core.log())[0]!.reason, "shutting_down");
    assertEquals([...core.stats.limits], [["tunnel_drain_timeout", 1]]);
  });
});

Deno.test("an endpoint takes a bounded number of tunnels, and requests beside them", async () => {
  const origin = startOrigin(async (c) => {
    const head = await c.head();
    if (!head?.includes("upgrade:")) {
      return await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    await c.send(SWITCHED);
    await c.gone();
  });
  const limits = { maxTunnels: 1, maxUpstreamConnections: 1 };
  await withPlaintext({ origin, limits }, async ({ port }) => {
    const first = await open(port);
    await readUntil(first, "\r\n\r\n");
    const second = await open(port);
    assertMatch(await readUntil(second, "\r\n\r\n"), /^HTTP\/1.1 503 /);
    const close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assertMatch(await rawRequest(port, close), /^HTTP\/1.1 200 /);
    first.close();
    second.close();
  });
});
