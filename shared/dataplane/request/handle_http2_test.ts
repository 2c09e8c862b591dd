import { assertEquals, assertMatch } from "@std/assert";
import { startPeerOrigin } from "../http2/testing_origin.ts";
import type { PeerOrigin } from "../http2/testing_origin.ts";
import * as h2 from "../http2/protocol.ts";
import { frame, GET, POST, settings, uint32 } from "../http2/testing_peer.ts";
import type { TestPeer } from "../http2/testing_peer.ts";
import { withHttp2 } from "../serve/testing_http2.ts";
import { startOrigin } from "../upstream/testing_origin.ts";
import { echo, testCore, withCore } from "./testing_core.ts";
import type { CoreOptions, TestCore } from "./testing_core.ts";

/** A client of HTTP/2 in front of a core. */
async function withClient(
  core: TestCore,
  use: (client: TestPeer) => Promise<void>,
): Promise<void> {
  const info = { table: () => core.table.ports.get(80), scope: "gateway/d/g", port: 80 };
  const unused = () => Promise.resolve({});
  await withHttp2(unused, async (server) => {
    await use(await server.dial());
  }, { handler: core.handler, info });
}

/** A core between a client and a backend that both speak HTTP/2. */
async function withBoth(
  script: (peer: TestPeer) => Promise<void>,
  use: (client: TestPeer, core: TestCore, origin: PeerOrigin) => Promise<void>,
  options: Partial<CoreOptions> = {},
): Promise<void> {
  const origin = startPeerOrigin(script);
  const backends = { a: origin.port };
  const core = testCore({ rules: [{}], backends, protocol: "h2c", ...options });
  try {
    await withClient(core, (client) => use(client, core, origin));
  } finally {
    core.close();
    await origin.close();
  }
}

Deno.test("createRequestHandler() serves HTTP/2 clients from HTTP/1.1 backends", async () => {
  await withCore({ rules: [{}], origin: echo() }, async (core) => {
    await withClient(core, async (client) => {
      const list = [...GET, "cookie", "a=1", "cookie", "b=2", "te", "trailers", "x", "y"];
      await client.send(client.headers(1, list.with(5, "/p?q")));
      const { status, body } = await client.answer(1);
      assertEquals(status, "200");
      assertMatch(body, /^GET \/p\?q HTTP\/1.1\r\nhost: a.test\r\n/);
      assertMatch(body, /\r\ncookie: a=1; b=2\r\n/);
      assertMatch(body, /\r\nx: y\r\n/);
      await client.send(client.headers(3, POST, false), client.data(3, "body"));
      assertMatch((await client.answer(3)).body, /^POST \/ HTTP\/1.1\r\n[^]*chunked/);
      assertEquals((await core.log()).map(({ protocol, status }) => [protocol, status]), [
        ["HTTP/2", 200],
        ["HTTP/2", 200],
      ]);
    });
  });
});

Deno.test("createRequestHandler() answers HTTP/2 clients the failures of the table", async () => {
  await withCore({ rules: [{}], hostnames: ["a.test"] }, async (core) => {
    await withClient(core, async (client) => {
      const cases: [string[], string][] = [
        [GET.with(5, "/a/../b"), "400"],
        [GET.with(5, "relative"), "400"],
        [GET.with(7, "a b"), "400"],
        [GET.slice(0, 6), "400"],
        [GET.with(7, "other.test"), "404"],
        [[":method", "CONNECT", ":authority", "a.test:1"], "405"],
      ];
      let stream = -1;
      for (const [list, status] of cases) {
        stream += 2;
        await client.send(client.headers(stream, list));
        assertEquals((await client.answer(stream)).status, status, list.slice(0, 8).join(" "));
      }
    });
  });
  const broken = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nx");
  });
  await withCore({ rules: [{}], origin: broken }, async (core) => {
    await withClient(core, async (client) => {
      await client.send(client.headers(1, GET));
      const { status } = await client.answer(1);
      assertEquals(status, `200reset ${h2.ErrorCode.INTERNAL_ERROR}`);
    });
  });
});

Deno.test("createRequestHandler() passes calls between HTTP/2 peers while they go on", async () => {
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    const call = await peer.nextOf(h2.HEADERS);
    const { stream, fields } = call!;
    await peer.send(peer.headers(stream, [":status", "200", "x-te", fields["te"] ?? ""], false));
    // Each message is answered before the next one comes.
    for (let end = false; !end;) {
      const message = await peer.next(({ type }) => type === h2.DATA || type === h2.HEADERS);
      if (message?.type === h2.DATA) await peer.send(peer.data(stream, message.payload, false));
      end = (message!.flags & h2.END_STREAM) !== 0;
      if (end) {
        const said = JSON.stringify(message!.fields);
        await peer.send(peer.headers(stream, ["grpc-status", "0", "x-said", said]));
      }
    }
    await peer.gone();
  };
  await withBoth(script, async (client) => {
    const call = [...POST, "te", "trailers", "content-type", "application/grpc"];
    await client.send(client.headers(1, call, false));
    assertEquals((await client.nextOf(h2.HEADERS))?.fields["x-te"], "trailers");
    for (const message of ["one", "two"]) {
      await client.send(client.data(1, message, false));
      const echoed = await client.nextOf(h2.DATA);
      assertEquals(new TextDecoder().decode(echoed?.payload), message);
    }
    await client.send(client.headers(1, ["x-sum", "2"]));
    assertEquals((await client.answer(1)).trailers, ["grpc-status=0", 'x-said={"x-sum":"2"}']);
  });
});

Deno.test("createRequestHandler() passes on that a client or a backend has given up", async () => {
  const seen = Promise.withResolvers<number>();
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    const first = await peer.nextOf(h2.HEADERS);
    await peer.send(peer.headers(first!.stream, [":status", "200"], false));
    seen.resolve((await peer.nextOf(h2.RST_STREAM))!.payload[3]!);
    const second = await peer.nextOf(h2.HEADERS);
    const reset = frame({ type: h2.RST_STREAM, stream: second!.stream, payload: uint32(2) });
    await peer.send(reset);
    await peer.gone();
  };
  await withBoth(script, async (client, core, origin) => {
    await client.send(client.headers(1, GET));
    await client.nextOf(h2.HEADERS);
    await client.send(frame({ type: h2.RST_STREAM, stream: 1, payload: uint32(8) }));
    assertEquals(await seen.promise, h2.ErrorCode.CANCEL);
    await client.send(client.headers(3, GET));
    assertEquals((await client.answer(3)).status, "502");
    const reasons = (await core.log()).map(({ reason }) => reason);
    assertEquals(reasons, ["client_closed", "upstream_reset"]);
    assertEquals(origin.accepted, 1);
  });
});

Deno.test("createRequestHandler() carries a WebSocket over HTTP/2, each direction to its own end", async () => {
  let head: string | null = null;
  let received = "";
  const origin = startOrigin(async (c) => {
    head = await c.head();
    await c.send(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
        "Sec-WebSocket-Accept: x\r\nX-Origin: 1\r\n\r\nhello",
    );
    received = await c.body(5);
    await c.gone();
    await c.send("bye");
  });
  await withCore({ rules: [{}], origin }, async (core) => {
    await withClient(core, async (client) => {
      const connect = GET.with(1, "CONNECT").with(5, "/chat").toSpliced(
        2,
        0,
        ":protocol",
        "websocket",
      );
      await client.send(client.headers(1, [...connect, "sec-websocket-version", "13"], false));
      const answer = await client.nextOf(h2.HEADERS);
      assertEquals([answer?.fields[":status"], answer?.fields["x-origin"]], ["200", "1"]);
      assertEquals(answer?.fields["sec-websocket-accept"], undefined);
      assertEquals(new TextDecoder().decode((await client.nextOf(h2.DATA))?.payload), "hello");
      await client.send(client.data(1, "to", false), client.data(1, "you"));
      assertEquals((await client.answer(1)).body, "bye");
      assertEquals(received, "toyou");
      assertMatch(head ?? "", /^GET \/chat HTTP\/1.1\r\n/);
      assertEquals((await core.log()).map(({ reason, status }) => [reason, status]), [["ok", 101]]);
      assertEquals(core.stats.tunnels, 0);
      // The connection carries on.
      await client.send(client.headers(3, [":method", "CONNECT", ":authority", "a:1"]));
      assertEquals((await client.answer(3)).status, "405");
    });
  });
});

const CALL = [
  ...POST,
  ...["content-type", "application/grpc", "te", "trailers"],
];

Deno.test("createRequestHandler() tells calls of failures in trailers alone", async () => {
  await withCore({ rules: [{}], hostnames: ["a.test"] }, async (core) => {
    await withClient(core, async (client) => {
      const other = CALL.with(CALL.indexOf(":authority") + 1, "other.test");
      await client.send(client.headers(1, other, false), client.data(1, ""));
      const answer = await client.next((received) => received.stream === 1);
      assertEquals(answer?.type, h2.HEADERS);
      if (answer?.type !== h2.HEADERS) return;
      assertEquals((answer.flags & h2.END_STREAM) !== 0, true);
      const { ":status": status, ...fields } = answer.fields;
      assertEquals(status, "200");
      assertEquals(fields["content-type"], "application/grpc");
      assertEquals(fields["grpc-status"], "12");
      assertEquals(fields["grpc-message"], "no route matches");
    });
  });
});

Deno.test("what a call came to is counted and logged: in trailers, in the head, or made up here", async () => {
  const answers = [
    { head: [":status", "200"], trailers: ["grpc-status", "5"] },
    { head: [":status", "200", "grpc-status", "14"], trailers: null },
    { head: [":status", "200"], trailers: ["grpc-status", "many"] },
    { head: [":status", "403"], trailers: null },
  ];
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    for (const { head, trailers } of answers) {
      const call = await peer.nextOf(h2.HEADERS);
      await peer.send(peer.headers(call!.stream, head, trailers === null));
      if (trailers !== null) await peer.send(peer.headers(call!.stream, trailers));
    }
    await peer.gone();
  };
  await withBoth(script, async (client, core) => {
    for (const i of answers.keys()) {
      const stream = 2 * i + 1;
      await client.send(client.headers(stream, CALL, false), client.data(stream, ""));
      await client.answer(stream);
    }
    // No call: no route of this kind takes it.
    await client.send(client.headers(9, GET));
    await client.answer(9);
    // One that nobody serves.
    const other = CALL.with(CALL.indexOf(":authority") + 1, "other.test");
    await client.send(client.headers(11, other, false), client.data(11, ""));
    await client.answer(11);
    const logged = (await core.log()).map(({ status, grpc_status }) => [status, grpc_status]);
    assertEquals(logged, [[200, 5], [200, 14], [200, 2], [403, 7], [404, undefined], [200, 12]]);
    const counted = [...core.stats.series()].map(({ labels, grpcStatus }) =>
      `${labels.routeKind} ${grpcStatus}`
    );
    const calls = [5, 14, 2, 7].map((status) => `GRPCRoute ${status}`);
    assertEquals(counted, [...calls, " null", " 12"]);
  }, { kind: "grpcroute", hostnames: ["a.test"] });
});
