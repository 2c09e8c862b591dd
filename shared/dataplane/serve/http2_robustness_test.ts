import { assert, assertEquals } from "@std/assert";
import * as h2 from "../http2/protocol.ts";
import { frame, GET, joined, POST, settings, uint32 } from "../http2/testing_peer.ts";
import type { TestPeer } from "../http2/testing_peer.ts";
import { echo, readBody } from "./testing_http1.ts";
import type { Handle } from "./testing_http1.ts";
import { withHttp2 } from "./testing_http2.ts";
import type { Http2Server } from "./testing_http2.ts";

const { ErrorCode } = h2;
/** A clock that stands still: budgets do not come back. */
const STILL = { monotonic: () => 0 };
const PING = frame({ type: h2.PING, payload: new Uint8Array(8) });

/** Another client is served as if nothing had happened. */
async function assertUndisturbed(server: Http2Server): Promise<void> {
  const other = await server.dial();
  await other.send(other.headers(1, GET));
  assertEquals((await other.answer(1)).status, "200");
}

Deno.test("openHttp2() ends a connection that floods it with what costs nothing", async () => {
  const windowUpdate = frame({ type: h2.WINDOW_UPDATE, stream: 0, payload: uint32(1) });
  const floods: [limit: string, frames: (client: TestPeer) => Uint8Array[]][] = [
    ["h2_pings", () => Array(1100).fill(PING)],
    ["h2_settings", () => Array(60).fill(settings())],
    ["h2_window_updates", () => Array(2100).fill(windowUpdate)],
    [
      "h2_ignored_frames",
      () => Array(1100).fill(frame({ type: h2.PRIORITY, stream: 1, payload: [0, 0, 0, 3, 1] })),
    ],
    ["h2_ignored_frames", () => Array(1100).fill(frame({ type: 0x42 }))],
    [
      "h2_empty_frames",
      (client) => [client.headers(1, POST, false), ...Array(300).fill(client.data(1, "", false))],
    ],
    [
      "h2_resets",
      (client) =>
        Array.from({ length: 400 }, (_, i) =>
          joined(
            client.headers(2 * i + 1, GET),
            frame({ type: h2.RST_STREAM, stream: 2 * i + 1, payload: uint32(8) }),
          )),
    ],
    [
      // Streams that are reset for the client's mistakes: CVE-2025-8671.
      "h2_resets",
      (client) =>
        Array.from({ length: 400 }, (_, i) =>
          joined(
            client.headers(2 * i + 1, GET),
            frame({ type: h2.WINDOW_UPDATE, stream: 2 * i + 1, payload: uint32(0) }),
          )),
    ],
    [
      "h2_header_block",
      (client) => [
        frame({ type: h2.HEADERS, stream: 1, payload: client.block(GET) }),
        ...Array(60).fill(frame({ type: h2.CONTINUATION, stream: 1, payload: [0x82] })),
      ],
    ],
    [
      "h2_header_block",
      (client) => [
        frame({ type: h2.HEADERS, stream: 1, payload: client.block(GET) }),
        ...Array(12).fill(
          frame({ type: h2.CONTINUATION, stream: 1, payload: new Uint8Array(16_384) }),
        ),
      ],
    ],
  ];
  const handle: Handle = (request) =>
    request.method === "POST"
      ? readBody(request).catch(() => "").then(() => ({}))
      : Promise.resolve({});
  await withHttp2(handle, async (server) => {
    for (const [limit, frames] of floods) {
      server.limits.length = 0;
      const client = await server.dial();
      await client.send(...frames(client));
      assertEquals(await client.goaway(), ErrorCode.ENHANCE_YOUR_CALM, limit);
      await client.gone();
      assertEquals(server.limits.filter((name) => name !== "h2_streams"), [limit]);
    }
    await assertUndisturbed(server);
  }, { clock: STILL });
});

Deno.test("openHttp2() tells the core of every request that a client resets", async () => {
  let running = 0;
  let most = 0;
  let done = 0;
  const all = Promise.withResolvers<void>();
  const handle: Handle = (request) =>
    new Promise((resolve) => {
      most = Math.max(most, ++running);
      request.onAbort = () => {
        running--;
        if (++done === 50) all.resolve();
        resolve({});
      };
    });
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    for (let stream = 1; stream < 100; stream += 2) {
      await client.send(
        client.headers(stream, GET),
        frame({ type: h2.RST_STREAM, stream, payload: uint32(8) }),
      );
    }
    await all.promise;
    assertEquals(running, 0);
    assert(most < 50);
  });
});

Deno.test("openHttp2() answers heads that are too large with 431, and what follows as ever", async () => {
  await withHttp2(echo, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, [...GET, "x", "y".repeat(5000)]));
    assertEquals((await client.answer(1)).status, "431");
    const many = Array.from({ length: 30 }, (_, i) => [`x-${i}`, "1"]).flat();
    await client.send(client.headers(3, [...POST, ...many], false));
    assertEquals((await client.answer(3)).status, "431");
    // One entry of the table, named again and again.
    const bomb = joined(client.block([...GET, "x-bomb", "b".repeat(900)]), bytesOf(3000, 0xbe));
    await client.send(frame({ type: h2.HEADERS, flags: 5, stream: 5, payload: bomb }));
    assertEquals((await client.answer(5)).status, "431");
    await client.send(client.headers(7, GET));
    assertEquals((await client.answer(7)).status, "200");
    assertEquals(server.limits, ["head_bytes", "head_bytes", "head_bytes"]);
  }, { limits: { maxHeadBytes: 4096, maxHeaders: 20 } });
});

Deno.test("openHttp2() refuses streams beyond its bound, and they may come again", async () => {
  const release = Promise.withResolvers<void>();
  const handle: Handle = () => release.promise.then(() => ({}));
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(...[1, 3, 5].map((stream) => client.headers(stream, GET)));
    assertEquals((await client.answer(5)).status, `reset ${ErrorCode.REFUSED_STREAM}`);
    release.resolve();
    assertEquals((await client.answer(1)).status, "200");
    await client.send(client.headers(7, GET));
    assertEquals((await client.answer(7)).status, "200");
    assertEquals(server.limits, ["h2_streams"]);
  }, { http2: { maxStreams: 2 } });
});

Deno.test("openHttp2() resets malformed requests and serves the next one", async () => {
  const pseudo = (name: string, value: string) => GET.with(GET.indexOf(name) + 1, value);
  const without = (name: string) => GET.toSpliced(GET.indexOf(name), 2);
  const malformed: Record<string, string[]> = {
    "two :method": [...GET, ":method", "GET"].toSpliced(2, 0, ":method", "PUT"),
    "two :authority": [":authority", "b.test", ...GET],
    "no :method": without(":method"),
    "no :scheme": without(":scheme"),
    "no :path": without(":path"),
    "empty :path": pseudo(":path", ""),
    "bad :method": pseudo(":method", "G T"),
    "unknown pseudo-header": [":other", "x", ...GET],
    ":status in a request": [":status", "200", ...GET],
    "pseudo-header after another": [...without(":path"), "x", "y", ":path", "/"],
    "connection": [...GET, "connection", "close"],
    "keep-alive": [...GET, "keep-alive", "1"],
    "proxy-connection": [...GET, "proxy-connection", "close"],
    "transfer-encoding": [...GET, "transfer-encoding", "chunked"],
    "upgrade": [...GET, "upgrade", "websocket"],
    "te": [...GET, "te", "gzip"],
    "Host that differs": [...GET, "host", "b.test"],
    "two Hosts": [...GET, "host", "a.test", "host", "a.test"],
    "content-length without a body": [...GET, "content-length", "1"],
    "two content-lengths": [...GET, "content-length", "0", "content-length", "0"],
    "bad content-length": [...GET, "content-length", "+0"],
    "CONNECT with :path": pseudo(":method", "CONNECT"),
    ":protocol without CONNECT": [":protocol", "websocket", ...GET],
    "extended CONNECT without :path": [
      ":protocol",
      "websocket",
      ":method",
      "CONNECT",
      ":authority",
      "a.test",
    ],
  };
  // Literals that the encoder of the test would not write.
  const raw: Record<string, number[]> = {
    "upper case": [0, 1, 0x58, 1, 0x61],
    "empty name": [0, 0, 1, 0x61],
    "colon in a name": [0, 3, 0x61, 0x3a, 0x62, 1, 0x61],
    "CR in a value": [0, 1, 0x78, 3, 0x61, 0x0d, 0x62],
    "LF in a value": [0, 1, 0x78, 3, 0x61, 0x0a, 0x62],
    "NUL in a value": [0, 1, 0x78, 3, 0x61, 0, 0x62],
    "blank before a value": [0, 1, 0x78, 2, 0x20, 0x61],
    "blank after a value": [0, 1, 0x78, 2, 0x61, 0x09],
  };
  await withHttp2(echo, async (server) => {
    const client = await server.dial();
    let stream = -1;
    for (const [why, list] of Object.entries(malformed)) {
      stream += 2;
      await client.send(client.headers(stream, list));
      assertEquals((await client.answer(stream)).status, `reset ${ErrorCode.PROTOCOL_ERROR}`, why);
    }
    for (const [why, field] of Object.entries(raw)) {
      stream += 2;
      const payload = joined(client.block(GET), Uint8Array.from(field));
      await client.send(frame({ type: h2.HEADERS, flags: 5, stream, payload }));
      assertEquals((await client.answer(stream)).status, `reset ${ErrorCode.PROTOCOL_ERROR}`, why);
    }
    // What may be said: Host of the same meaning, TE: trailers, a cookie in parts.
    stream += 2;
    const allowed = ["host", "A.test", "te", "trailers", "cookie", "a=1", "cookie", "b=2"];
    await client.send(client.headers(stream, [...GET, ...allowed]));
    assertEquals((await client.answer(stream)).status, "200");
    assertEquals(server.outcomes.length, 1);
  });
});

Deno.test("openHttp2() hands on what it understood of a head", async () => {
  const seen: unknown[] = [];
  const handle: Handle = ({ method, target, authority, httpVersion, headers, body }) => {
    seen.push([method, target, authority, httpVersion, headers, body]);
    return Promise.resolve({});
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    const hosted = [...GET.slice(0, 6), "host", "h.test", "cookie", "a=1", "x", "1", "cookie", "b"];
    await client.send(client.headers(1, hosted));
    await client.answer(1);
    await client.send(client.headers(3, [":method", "CONNECT", ":authority", "a:1"]));
    await client.answer(3);
    assertEquals(seen, [
      ["GET", "/", "h.test", "2", ["x", "1", "cookie", "a=1; b"], null],
      ["CONNECT", "", "a:1", "2", [], null],
    ]);
  });
});

Deno.test("openHttp2() ends connections whose frames cannot be right", async () => {
  const headers = (client: TestPeer, stream: number) => client.headers(stream, GET);
  const cases: [why: string, code: number, frames: (client: TestPeer) => Uint8Array[]][] = [
    ["frame too large", ErrorCode.FRAME_SIZE_ERROR, () => [frame({ type: 0x42 }).with(0, 1)]],
    ["PING length", ErrorCode.FRAME_SIZE_ERROR, () => [frame({ type: h2.PING, payload: [1] })]],
    [
      "SETTINGS length",
      ErrorCode.FRAME_SIZE_ERROR,
      () => [frame({ type: h2.SETTINGS, payload: [1] })],
    ],
    ["padding", ErrorCode.PROTOCOL_ERROR, (client) => [
      headers(client, 1),
      frame({ type: h2.DATA, flags: h2.PADDED, stream: 1, payload: [9, 1] }),
    ]],
    ["padding of HEADERS", ErrorCode.PROTOCOL_ERROR, () => [
      frame({ type: h2.HEADERS, flags: 13, stream: 1, payload: [9, 1] }),
    ]],
    ["DATA on an idle stream", ErrorCode.PROTOCOL_ERROR, (client) => [client.data(5, "x")]],
    ["RST_STREAM on an idle stream", ErrorCode.PROTOCOL_ERROR, () => [
      frame({ type: h2.RST_STREAM, stream: 5, payload: uint32(8) }),
    ]],
    ["WINDOW_UPDATE on an idle stream", ErrorCode.PROTOCOL_ERROR, () => [
      frame({ type: h2.WINDOW_UPDATE, stream: 5, payload: uint32(8) }),
    ]],
    ["an even stream", ErrorCode.PROTOCOL_ERROR, (client) => [headers(client, 2)]],
    ["stream 0", ErrorCode.PROTOCOL_ERROR, (client) => [headers(client, 0)]],
    ["an old stream", ErrorCode.PROTOCOL_ERROR, (client) => [
      headers(client, 5),
      headers(client, 3),
    ]],
    ["PUSH_PROMISE", ErrorCode.PROTOCOL_ERROR, () => [
      frame({ type: h2.PUSH_PROMISE, flags: 4, stream: 1, payload: uint32(2) }),
    ]],
    ["a frame within a block", ErrorCode.PROTOCOL_ERROR, (client) => [
      frame({ type: h2.HEADERS, stream: 1, payload: client.block(GET) }),
      PING,
    ]],
    ["CONTINUATION alone", ErrorCode.PROTOCOL_ERROR, () => [
      frame({ type: h2.CONTINUATION, flags: 4, stream: 1 }),
    ]],
    ["window overflow", ErrorCode.FLOW_CONTROL_ERROR, () => [
      frame({ type: h2.WINDOW_UPDATE, payload: uint32(0x7fffffff) }),
    ]],
    ["initial window", ErrorCode.FLOW_CONTROL_ERROR, () => [
      settings([h2.INITIAL_WINDOW_SIZE, 0x80000000]),
    ]],
    ["header table", ErrorCode.COMPRESSION_ERROR, () => [
      frame({ type: h2.HEADERS, flags: 5, stream: 1, payload: [0x3f, 0xe2, 0x1f] }),
    ]],
    ["more DATA than the connection's window", ErrorCode.FLOW_CONTROL_ERROR, (client) => [
      client.headers(1, POST, false),
      client.headers(3, POST, false),
      ...[1, 3].flatMap((stream) =>
        Array.from({ length: 3 }, () => client.data(stream, bytesOf(16_000, 97), false))
      ),
    ]],
  ];
  const handle: Handle = () => new Promise(() => {});
  for (const [why, code, frames] of cases) {
    await withHttp2(handle, async (server) => {
      const client = await server.dial();
      await client.send(...frames(client));
      assertEquals(await client.goaway(), code, why);
      await client.gone();
    }, { http2: { streamWindow: 65_535, connectionWindow: 65_535 } });
  }
});

Deno.test("openHttp2() closes what does not begin as HTTP/2", async () => {
  await withHttp2(echo, async (server) => {
    const http1 = await server.raw();
    await http1.send(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    assertEquals(await http1.goaway(), ErrorCode.PROTOCOL_ERROR);
    await http1.gone();
    await assertUndisturbed(server);
  });
});

Deno.test("openHttp2() resets a body that is not as long as it said", async () => {
  const kinds: string[] = [];
  const handle: Handle = async (request) => {
    await readBody(request).catch((error) => kinds.push(error.kind));
    return {};
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    const post = [...POST, "content-length", "3"];
    await client.send(client.headers(1, post, false), client.data(1, "ab"));
    assertEquals((await client.answer(1)).status, `reset ${ErrorCode.PROTOCOL_ERROR}`);
    await client.send(client.headers(3, post, false), client.data(3, "abcd", false));
    assertEquals((await client.answer(3)).status, `reset ${ErrorCode.PROTOCOL_ERROR}`);
    await client.send(client.headers(5, post, false), client.data(5, "abc"));
    assertEquals((await client.answer(5)).status, "200");
    assertEquals(kinds, ["framing", "framing"]);
  });
});

function bytesOf(size: number, byte: number): Uint8Array {
  return new Uint8Array(size).fill(byte);
}
