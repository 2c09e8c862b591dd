import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { startPeerOrigin } from "../http2/testing_origin.ts";
import * as h2 from "../http2/protocol.ts";
import { settings } from "../http2/testing_peer.ts";
import type { TestPeer } from "../http2/testing_peer.ts";
import { Base64Decoder } from "./base64_decoder.ts";
import { testCore } from "./testing_core.ts";
import type { Answer, TestCore } from "./testing_core.ts";
import type { BodyReader } from "./types.ts";

const MESSAGE = [0, 0, 0, 0, 2, 8, 7];

/** A body that comes in these parts. */
function parts(...chunks: Uint8Array[]): BodyReader {
  return { length: -1, read: () => Promise.resolve(chunks.shift() ?? null), cancel: () => {} };
}

function octets(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Asks a backend that speaks gRPC and echoes what it gets; sends the types it saw as a trailer. */
async function withEcho(
  use: (core: TestCore) => Promise<void>,
  answer: string[] = ["content-type", "application/grpc+proto"],
): Promise<void> {
  const script = async (peer: TestPeer) => {
    await peer.send(settings());
    const call = await peer.nextOf(h2.HEADERS);
    // Given up before it came here.
    if (call === null) return;
    const { stream, fields } = call;
    await peer.send(peer.headers(stream, [":status", "200", ...answer], false));
    for (let end = false; !end;) {
      const message = await peer.next(({ type }) => type === h2.DATA || type === h2.HEADERS);
      if (message?.type === h2.DATA && message.payload.length > 0) {
        await peer.send(peer.data(stream, message.payload, false));
      }
      end = (message!.flags & h2.END_STREAM) !== 0;
    }
    const seen = `${fields["content-type"]} ${fields["te"]} ${fields["content-length"]}`;
    await peer.send(peer.headers(stream, ["grpc-status", "3", "x-seen", seen]));
    await peer.gone();
  };
  const origin = startPeerOrigin(script);
  const core = testCore({
    kind: "grpcroute",
    rules: [{}],
    hostnames: ["a.test"],
    backends: { a: origin.port },
    protocol: "h2c",
  });
  try {
    await use(core);
  } finally {
    core.close();
    await origin.close();
  }
}

function call(core: TestCore, type: string, body: BodyReader | null): Promise<Answer> {
  const headers = ["content-type", type, "content-length", "99"];
  return core.ask({ method: "POST", target: "/s/m", authority: "a.test", headers, body });
}

Deno.test("a call of gRPC-Web reaches its backend as gRPC; trailers come as a last frame", async () => {
  await withEcho(async (core) => {
    const sent = parts(Uint8Array.from(MESSAGE));
    const { status, headers, body } = await call(core, "application/grpc-web+proto", sent);
    assertEquals([status, headers["content-type"]], [200, "application/grpc-web+proto"]);
    const received = [...octets(body)];
    assertEquals(received.slice(0, 7), MESSAGE);
    const block = "grpc-status:3\r\nx-seen:application/grpc+proto trailers undefined\r\n";
    // Read as text, in which the flag before it is no letter.
    assertEquals(received.slice(8, 12), [0, 0, 0, block.length]);
    assertEquals(body.slice(12), block);
    assertEquals((await core.log()).map(({ grpc_status }) => grpc_status), [3]);
  });
});

Deno.test("gRPC-Web as text is base64 both ways, however it is cut", async () => {
  await withEcho(async (core) => {
    const text = octets(Uint8Array.from(MESSAGE).toBase64());
    const sent = parts(text.slice(0, 3), text.slice(3, 5), text.slice(5));
    const { headers, body } = await call(core, "application/grpc-web-text", sent);
    assertEquals(headers["content-type"], "application/grpc-web-text+proto");
    const decoded = new Base64Decoder().push(octets(body));
    assertEquals([...decoded?.slice(0, 8) ?? []], [...MESSAGE, 0x80]);
  });
});

Deno.test("text that is not base64 fails its call, and nothing else", async () => {
  for (const text of ["AAA*", "AAAAA"]) {
    await withEcho(async (core) => {
      const { status, headers, body } = await call(
        core,
        "application/grpc-web-text",
        parts(octets(text)),
      );
      assertEquals([status, headers["grpc-status"], body], [200, "13", ""]);
    });
  }
});

Deno.test("a value that reads content-type is none", async () => {
  await withEcho(async (core) => {
    const { headers } = await call(core, "application/grpc-web", parts());
    assertEquals([headers["vary"], headers["x-a"], headers["content-type"]], [
      "content-type",
      "1",
      "application/grpc-web",
    ]);
  }, ["vary", "content-type", "x-a", "1", "content-type", "application/grpc"]);
});

Deno.test("gRPC-Web is told of failures in the head, and other answers as they are", async () => {
  const allow = { name: "access-control-allow-origin", value: "*" };
  const filters = [{ type: "responseHeaders" as const, set: [allow], add: [], remove: [] }];
  const core = testCore({ kind: "grpcroute", rules: [{ filters }], backends: { a: null } });
  try {
    const { status, headers } = await call(core, "application/grpc-web", null);
    assertEquals([status, headers["content-type"], headers["grpc-status"]], [
      200,
      "application/grpc-web",
      "14",
    ]);
    assertEquals(headers["access-control-allow-origin"], "*");
  } finally {
    core.close();
  }
  await withEcho(async (core) => {
    const { headers, body } = await call(core, "application/grpc-web", parts(octets("<p>")));
    assertEquals([headers["content-type"], body], ["text/html", "<p>"]);
  }, ["content-type", "text/html"]);
});

Deno.test("Base64Decoder takes parts that were coded alone, cut anywhere", () => {
  const coded = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 6 });
  fc.assert(fc.property(coded, fc.array(fc.nat(200)), (chunks, cuts) => {
    const text = octets(chunks.map((chunk) => chunk.toBase64()).join(""));
    const decoder = new Base64Decoder();
    const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
    const received: number[] = [];
    for (const [i, place] of [...places, text.length].entries()) {
      received.push(...decoder.push(text.slice(places[i - 1] ?? 0, place)) ?? [-1]);
    }
    assertEquals(received, chunks.flatMap((chunk) => [...chunk]));
    assertEquals(decoder.complete, true);
  }));
});

Deno.test("Base64Decoder refuses other letters, misplaced padding, and tells of cut groups", () => {
  for (const text of ["A*AA", "=AAA", "A===", "AA=A", "AAA=\n"]) {
    assertEquals(new Base64Decoder().push(octets(text)), undefined, text);
  }
  const decoder = new Base64Decoder();
  decoder.push(octets("AAA"));
  assertEquals(decoder.complete, false);
});
