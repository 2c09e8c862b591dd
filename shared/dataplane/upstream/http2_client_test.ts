import { assert, assertEquals } from "@std/assert";
import { createServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import { Buffer } from "node:buffer";
import { startPeerOrigin } from "../http2/testing_origin.ts";
import type { TestPeer } from "../http2/testing_peer.ts";
import * as h2 from "../http2/protocol.ts";
import { frame, settings, uint32 } from "../http2/testing_peer.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import type { BodyReader } from "../request/types.ts";
import type { UpstreamRequest } from "./exchange.ts";
import { Http2Client } from "./http2_client.ts";
import { bodyOf, failure, GET, textOf } from "./testing_client.ts";
import { answeringOrigin, refusingPort } from "./testing_origin.ts";

/** A server of another make. */
async function withNode(
  serve: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
  use: (client: Http2Client, target: { address: string; port: number }) => Promise<void>,
): Promise<void> {
  const server = createServer();
  server.on("stream", serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const client = new Http2Client();
  try {
    await use(client, { address: "127.0.0.1", port });
  } finally {
    client.close();
    await new Promise((resolve) => server.close(resolve));
  }
}

Deno.test("Http2Client exchanges with node:http2: heads, bodies and trailers both ways", async () => {
  const serve = (stream: ServerHttp2Stream, headers: Record<string, unknown>) => {
    const parts: Buffer[] = [];
    let trailers = "";
    stream.on("trailers", (fields: Record<string, string>) => trailers = fields["x-sum"] ?? "");
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      stream.respond({ ":status": 200, "x-path": String(headers[":path"]) }, {
        waitForTrailers: true,
      });
      stream.on(
        "wantTrailers",
        () => stream.sendTrailers({ "grpc-status": "0", "x-got": trailers }),
      );
      stream.end(
        `${headers[":method"]} ${headers["content-length"]} ${Buffer.concat(parts).length}`,
      );
    });
  };
  await withNode(serve, async (client, target) => {
    const bodies: (Uint8Array | BodyReader | null)[] = [
      null,
      new Uint8Array(200_000),
      bodyOf(["ab", "", "c"]),
      Object.assign(bodyOf(["x".repeat(100_000), "y"], 100_001), { trailers: ["x-sum", "7"] }),
    ];
    const texts: string[] = [];
    for (const body of bodies) {
      const method = body === null ? "GET" : "POST";
      const response = await client.exchange(target, { ...GET, method, target: "/p", body })
        .response;
      assertEquals(response.status, 200);
      assertEquals(response.headers.slice(0, 2), ["x-path", "/p"]);
      texts.push(await textOf(response));
      assert(response.body !== null && "read" in response.body);
      texts.push(String(response.body.trailers));
    }
    assertEquals(texts, [
      "GET undefined 0",
      "grpc-status,0,x-got,",
      "POST 200000 200000",
      "grpc-status,0,x-got,",
      "POST undefined 3",
      "grpc-status,0,x-got,",
      "POST 100001 100001",
      "grpc-status,0,x-got,7",
    ]);
    assertEquals(client.connections(), 1);
  });
});

Deno.test("Http2Client streams a large answer at its reader's pace", async () => {
  const size = 5_000_000;
  const serve = (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200 });
    stream.end(Buffer.alloc(size, 97));
  };
  await withNode(serve, async (client, target) => {
    const texts = await Promise.all([1, 2, 3].map(async () => {
      const response = await client.exchange(target, GET).response;
      return (await textOf(response)).length;
    }));
    assertEquals(texts, [size, size, size]);
  });
});

const OK = [":status", "200", "content-length", "2"];

/** Runs a script per connection of an origin that speaks frames. */
async function withPeer(
  script: (peer: TestPeer, number: number) => Promise<void>,
  use: (ask: (request?: Partial<UpstreamRequest>) => Promise<string>, at: {
    client: Http2Client;
    accepted: () => number;
  }) => Promise<void>,
  limits: Partial<typeof DEFAULT_LIMITS> = {},
): Promise<void> {
  const origin = startPeerOrigin(script);
  const client = new Http2Client({ limits: { ...DEFAULT_LIMITS, ...limits } });
  const ask = async (request: Partial<UpstreamRequest> = {}) => {
    const exchange = client.exchange(origin, { ...GET, ...request });
    try {
      const response = await exchange.response;
      return `${response.status} ${await textOf(response)}`;
    } catch (error) {
      return String(error instanceof Error && "kind" in error ? error.kind : error);
    }
  };
  try {
    await use(ask, { client, accepted: () => origin.accepted });
  } finally {
    client.close();
    await origin.close();
  }
}

/** Answers every request with `ok`. */
async function answerAll(peer: TestPeer): Promise<void> {
  for (;;) {
    const request = await peer.nextOf(h2.HEADERS);
    if (request === null) return;
    await peer.send(peer.headers(request.stream, OK, false), peer.data(request.stream, "ok"));
  }
}

Deno.test("Http2Client opens another connection beyond MAX_CONCURRENT_STREAMS", async () => {
  const waiting: (() => void)[] = [];
  const script = async (peer: TestPeer) => {
    await peer.send(settings([h2.MAX_CONCURRENT_STREAMS, 1]));
    const request = await peer.nextOf(h2.HEADERS);
    if (request === null) return;
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 3) { for (const release of waiting) release(); }
    });
    await peer.send(peer.headers(request.stream, OK, false), peer.data(request.stream, "ok"));
    await answerAll(peer);
  };
  await withPeer(script, async (ask, { accepted }) => {
    assertEquals(await Promise.all([ask(), ask(), ask()]), ["200 ok", "200 ok", "200 ok"]);
    assertEquals(accepted(), 3);
    assertEquals(await ask(), "200 ok");
    assertEquals(accepted(), 3);
  });
});

Deno.test("Http2Client sends a refused request once more, whatever its method", async () => {
  let refusals = 0;
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    for (;;) {
      const request = await peer.nextOf(h2.HEADERS);
      if (request === null) return;
      if (request.fields[":path"] === "/never" || refusals++ === 0) {
        const payload = uint32(h2.ErrorCode.REFUSED_STREAM);
        await peer.send(frame({ type: h2.RST_STREAM, stream: request.stream, payload }));
        continue;
      }
      await peer.send(peer.headers(request.stream, OK, false), peer.data(request.stream, "ok"));
    }
  };
  await withPeer(script, async (ask) => {
    assertEquals(await ask({ method: "POST", body: new Uint8Array(3) }), "200 ok");
    assertEquals(await ask({ target: "/never" }), "reset");
  });
});

Deno.test("Http2Client moves what GOAWAY did not cover, and finishes what it did", async () => {
  const script = async (peer: TestPeer, number: number) => {
    await peer.send(settings());
    if (number > 1) return await answerAll(peer);
    const first = await peer.nextOf(h2.HEADERS);
    await peer.nextOf(h2.HEADERS);
    await peer.send(frame({ type: h2.GOAWAY, payload: [...uint32(first!.stream), ...uint32(0)] }));
    await peer.send(peer.headers(first!.stream, OK, false), peer.data(first!.stream, "1!"));
    await peer.gone();
  };
  await withPeer(script, async (ask, { accepted }) => {
    const post = { method: "POST", body: new Uint8Array(1) };
    assertEquals(await Promise.all([ask(post), ask(post)]), ["200 1!", "200 ok"]);
    assertEquals(accepted(), 2);
  });
});

Deno.test("Http2Client repeats an idempotent request when a used connection breaks, not a POST", async () => {
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    for (let count = 0;; count++) {
      const request = await peer.nextOf(h2.HEADERS);
      if (request === null || count === 1) return;
      await peer.send(peer.headers(request.stream, OK, false), peer.data(request.stream, "ok"));
    }
  };
  await withPeer(script, async (ask, { accepted }) => {
    assertEquals([await ask(), await ask()], ["200 ok", "200 ok"]);
    assertEquals(accepted(), 2);
    assertEquals(await ask({ method: "POST", body: new Uint8Array(1) }), "reset");
  });
});

Deno.test("Http2Client tells the failures of an endpoint apart", async () => {
  const mistakes: Record<string, (peer: TestPeer, stream: number) => Uint8Array> = {
    "/no-status": (peer, stream) => peer.headers(stream, ["x", "y"]),
    "/upper": (_, stream) =>
      frame({
        type: h2.HEADERS,
        flags: h2.END_HEADERS | h2.END_STREAM,
        stream,
        payload: [0x88, 0x00, 1, 0x41, 1, 0x61],
      }),
    "/101": (peer, stream) => peer.headers(stream, [":status", "101"], false),
    "/longer": (peer, stream) =>
      Uint8Array.from([...peer.headers(stream, OK, false), ...peer.data(stream, "too long")]),
    "/shorter": (peer, stream) =>
      Uint8Array.from([...peer.headers(stream, OK, false), ...peer.data(stream, "x")]),
    "/reset": (_, stream) =>
      frame({ type: h2.RST_STREAM, stream, payload: uint32(h2.ErrorCode.INTERNAL_ERROR) }),
    "/head": (peer, stream) => peer.headers(stream, [":status", "200", "x", "y".repeat(9000)]),
  };
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    for (;;) {
      const request = await peer.nextOf(h2.HEADERS);
      if (request === null) return;
      const mistake = mistakes[request.fields[":path"]!];
      if (mistake === undefined) {
        await peer.send(
          peer.headers(request.stream, [":status", "103", "link", "x"], false),
          peer.headers(request.stream, OK, false),
          peer.data(request.stream, "ok"),
        );
      } else await peer.send(mistake(peer, request.stream));
    }
  };
  await withPeer(script, async (ask, { accepted }) => {
    const kinds: Record<string, string> = {};
    for (const target of Object.keys(mistakes)) kinds[target] = await ask({ target });
    assertEquals(kinds, {
      "/no-status": "protocol",
      "/upper": "protocol",
      "/101": "protocol",
      "/longer": "protocol",
      "/shorter": "protocol",
      "/reset": "reset",
      "/head": "head_too_large",
    });
    // None of them was the connection's fault.
    assertEquals([await ask(), accepted()], ["200 ok", 1]);
  }, { maxHeadBytes: 8192 });
});

Deno.test("Http2Client gives up on silent endpoints, on others that speak HTTP/1.1, and on none", async () => {
  const silent = async (peer: TestPeer) => {
    await peer.send(settings());
    await peer.gone();
  };
  await withPeer(silent, async (ask, { accepted }) => {
    assertEquals(await ask(), "timeout");
    // The connection may be dead: the next request does not use it.
    assertEquals(await ask(), "timeout");
    assertEquals(accepted(), 2);
  }, { responseIdleTimeout: 40 });
  const mute = async (peer: TestPeer) => await peer.gone();
  await withPeer(mute, async (ask) => {
    assertEquals(await ask(), "connect_timeout");
  }, { connectTimeout: 40 });
  const http1 = answeringOrigin(() => "HTTP/1.1 400 Bad Request\r\n\r\n");
  const client = new Http2Client();
  try {
    assertEquals(await failure(client.exchange(http1, GET)), "protocol");
    const nobody = { address: "127.0.0.1", port: refusingPort() };
    assertEquals(await failure(client.exchange(nobody, GET)), "connect");
  } finally {
    client.close();
    await http1.close();
  }
});

Deno.test("Http2Client bounds waiting requests, and closes idle and unwanted connections", async () => {
  const script = async (peer: TestPeer) => {
    await peer.send(settings([h2.MAX_CONCURRENT_STREAMS, 1]));
    await answerAll(peer);
  };
  await withPeer(script, async (ask, { client }) => {
    const answers = await Promise.all([ask(), ask(), ask(), ask()]);
    assertEquals(answers.toSorted(), ["200 ok", "200 ok", "overflow", "overflow"]);
    assertEquals(client.connections(), 1);
  }, { maxUpstreamConnections: 1, maxPendingRequests: 2 });
  const closed = Promise.withResolvers<void>();
  const watched = async (peer: TestPeer) => {
    await peer.send(settings());
    await answerAll(peer);
    closed.resolve();
  };
  await withPeer(watched, async (ask) => {
    assertEquals(await ask(), "200 ok");
    await closed.promise;
  }, { upstreamIdleTimeout: 30 });
});

Deno.test("Exchange.abort() resets its stream and leaves the others alone", async () => {
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    const first = await peer.nextOf(h2.HEADERS);
    await peer.send(peer.headers(first!.stream, [":status", "200"], false));
    const reset = await peer.nextOf(h2.RST_STREAM);
    assertEquals(reset?.payload[3], h2.ErrorCode.CANCEL);
    await answerAll(peer);
  };
  const origin = startPeerOrigin(script);
  const client = new Http2Client();
  try {
    const exchange = client.exchange(origin, GET);
    const { body } = await exchange.response;
    assert(body !== null && "read" in body);
    body.cancel();
    assertEquals(await textOf(await client.exchange(origin, GET).response), "ok");
    assertEquals(origin.accepted, 1);
  } finally {
    client.close();
    await origin.close();
  }
});
