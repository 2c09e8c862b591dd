import { assert, assertEquals, assertMatch } from "@std/assert";
import { startOrigin } from "../upstream/testing_origin.ts";
import { withCore } from "./testing_core.ts";
import type { BodyReader } from "./types.ts";

/** What a client sends, one chunk after the other. */
function input(...chunks: string[]): BodyReader {
  return {
    length: -1,
    read: () => {
      const chunk = chunks.shift();
      return Promise.resolve(chunk === undefined ? null : new TextEncoder().encode(chunk));
    },
    cancel: () => {},
  };
}

Deno.test("an extended CONNECT is a GET with Upgrade to a backend of HTTP/1.1", async () => {
  let head: string | null = null;
  let received = "";
  const origin = startOrigin(async (c) => {
    head = await c.head();
    await c.send(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
        "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n",
    );
    received = await c.body(6);
    await c.send("answer");
  });
  // Routes see the method that the backend sees.
  const rules = [{ matches: [{ path: { type: "prefix" as const, value: "/" }, method: "GET" }] }];
  await withCore({ origin, rules }, async ({ ask, stats }) => {
    const answer = await ask({
      method: "CONNECT",
      target: "/chat",
      headers: ["sec-websocket-version", "13"],
      upgrade: { protocol: "websocket", input: input("asked ", "") },
    });
    assertEquals([answer.status, answer.response.upgrade], [101, "websocket"]);
    assertEquals(answer.headers, { "sec-websocket-protocol": "p" });
    assertEquals([answer.body, received], ["answer", "asked "]);
    assertMatch(head ?? "", /^GET \/chat HTTP\/1.1\r\n/);
    assertMatch(head ?? "", /\r\nsec-websocket-key: [A-Za-z0-9+/]{22}==\r\n/);
    assertMatch(head ?? "", /\r\nconnection: upgrade\r\nupgrade: websocket\r\n/);
    assertEquals([stats.tunnels, stats.tunnelBytesIn, stats.tunnelBytesOut], [0, 6, 6]);
  });
});

Deno.test("a CONNECT that names no protocol is refused, upgrade or not", async () => {
  await withCore({ rules: [{}] }, async ({ ask }) => {
    assertEquals((await ask({ method: "CONNECT", target: "/" })).status, 405);
  });
});

Deno.test("a route's timeout before the 101 is a 504", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.gone();
  });
  const rules = [{ timeouts: { request: 30 } }];
  await withCore({ origin, rules }, async ({ ask }) => {
    let cancelled = false;
    const silent = { ...input(), cancel: () => void (cancelled = true) };
    const answer = await ask({ upgrade: { protocol: "websocket", input: silent } });
    assertEquals([answer.status, answer.response.upgrade], [504, ""]);
    // Nobody read from it: it is still the engine's.
    assert(!cancelled);
  });
});
