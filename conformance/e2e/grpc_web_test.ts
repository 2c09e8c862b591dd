/** gRPC-Web through the real stack: a browser's requests, a server of a well-known library. */
import { assert, assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { startGrpcServer } from "./grpc_server.ts";
import { withGateway } from "./harness.ts";
import { gateway } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.grpcWeb;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const metadata = (name: string) => ({ name, namespace: "e2e" });

function files(port: number): Record<string, string> {
  return {
    gateway: gateway({ http: HTTP }),
    backend: stringify({
      apiVersion: "gateway.lightapi.net/v1alpha1",
      kind: "LightBackend",
      metadata: metadata("calls"),
      spec: { protocol: "h2c", endpoints: [{ address: "127.0.0.1", port }] },
    }),
    route: stringify({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "GRPCRoute",
      metadata: metadata("calls"),
      spec: {
        parentRefs: [{ name: "edge" }],
        rules: [{
          backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: "calls" }],
        }],
      },
    }),
  };
}

function message(text: string): Uint8Array<ArrayBuffer> {
  const payload = encoder.encode(text);
  const frame = new Uint8Array(5 + payload.length);
  new DataView(frame.buffer).setUint32(1, payload.length);
  frame.set(payload, 5);
  return frame;
}

interface WebAnswer {
  messages: string[];
  trailers: string[];
}

/** Takes frames apart, as a client in a browser does. */
function frames(octets: Uint8Array): WebAnswer {
  const answer: WebAnswer = { messages: [], trailers: [] };
  const view = new DataView(octets.buffer, octets.byteOffset);
  for (let at = 0; at < octets.length;) {
    const length = view.getUint32(at + 1);
    const text = decoder.decode(octets.subarray(at + 5, at + 5 + length));
    if (octets[at] === 0) answer.messages.push(text);
    else answer.trailers.push(...text.trimEnd().split("\r\n"));
    at += 5 + length;
  }
  return answer;
}

function call(method: string, type: string, body: BodyInit): Promise<Response> {
  return fetch(`http://127.0.0.1:${HTTP}/e2e.Echo/${method}`, {
    method: "POST",
    headers: { "content-type": type, "x-grpc-web": "1" },
    body,
  });
}

Deno.test("gRPC-Web: unary calls, streams and failures, as octets and as text", async () => {
  const server = await startGrpcServer("one");
  try {
    await withGateway({ files: files(server.port) }, async ({ ready, metrics }) => {
      await ready();
      const type = "application/grpc-web+proto";
      const first = await eventually("the route", async () => {
        const response = await call("Unary", type, message("hi"));
        const octets = await response.bytes();
        return response.ok ? { response, octets } : undefined;
      });
      assertEquals(first.response.headers.get("content-type"), type);
      const { messages, trailers } = frames(first.octets);
      assertEquals(messages, ["hi"]);
      assert(trailers.includes("grpc-status:0"));
      assert(trailers.includes("x-server:one"));

      const stream = frames(await (await call("ServerStream", type, message("500"))).bytes());
      assertEquals([stream.messages.length, stream.messages.at(-1)], [500, "message 499"]);

      const text = await call(
        "Unary",
        "application/grpc-web-text",
        message("as text").toBase64(),
      );
      assertEquals(text.headers.get("content-type"), "application/grpc-web-text+proto");
      // Parts are padded one by one.
      const parts = (await text.text()).match(/[^=]+=*/g) ?? [];
      const octets = parts.flatMap((part) => [...Uint8Array.fromBase64(part)]);
      assertEquals(frames(Uint8Array.from(octets)).messages, ["as text"]);

      const failed = await call("Unary", type, message("fail"));
      const said = frames(await failed.bytes()).trailers;
      const status = failed.headers.get("grpc-status") ??
        said.find((line) => line.startsWith("grpc-status:"))?.slice(12);
      assertEquals(status, "9");

      const counted = [...await metrics()].filter(([name]) =>
        name.startsWith("lgw_proxy_requests_total{") && name.includes('route_kind="GRPCRoute"')
      ).map(([name]) => /grpc_status="(\d+)"/.exec(name)?.[1]);
      assertEquals(counted.sort(), ["0", "9"]);
    });
  } finally {
    server.stop();
  }
});
