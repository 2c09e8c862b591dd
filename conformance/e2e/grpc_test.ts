/** GRPCRoute with a client and a server of a well-known library, through the real stack. */
import { assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { GrpcClient, startGrpcServer } from "./grpc_server.ts";
import { withGateway } from "./harness.ts";
import { gateway } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.grpc;
const OK = 0;

function grpcRoute(host: string, rules: Record<string, unknown>[]): string {
  return stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GRPCRoute",
    metadata: { name: host.split(".")[0] ?? "", namespace: "e2e" },
    spec: { parentRefs: [{ name: "edge" }], hostnames: [host], rules },
  });
}

function backend(name: string, port: number): string {
  return stringify({
    apiVersion: "gateway.lightapi.net/v1alpha1",
    kind: "LightBackend",
    metadata: { name, namespace: "e2e" },
    spec: { protocol: "h2c", endpoints: [{ address: "127.0.0.1", port }] },
  });
}

const to = (name: string) => [{ group: "gateway.lightapi.net", kind: "LightBackend", name }];

Deno.test("GRPCRoute: every type of call, trailers, metadata, failures and deadlines", async () => {
  const [one, two] = [await startGrpcServer("one"), await startGrpcServer("two")];
  const client = new GrpcClient(`127.0.0.1:${HTTP}`, "calls.example.com");
  try {
    await withGateway({
      files: {
        gateway: gateway({ http: HTTP }),
        backends: [backend("one", one.port), backend("two", two.port), backend("gone", 9)]
          .join("---\n"),
        route: grpcRoute("calls.example.com", [
          {
            matches: [{ method: { service: "e2e.Echo", method: "Unary" } }],
            filters: [{
              type: "RequestHeaderModifier",
              requestHeaderModifier: { add: [{ name: "x-tenant", value: "them" }] },
            }],
            backendRefs: to("one"),
          },
          {
            matches: [{ headers: [{ name: "x-route", value: "gone" }] }],
            backendRefs: to("gone"),
          },
          { matches: [{ method: { service: "e2e.Echo" } }], backendRefs: to("two") },
        ]),
      },
    }, async (running) => {
      try {
        await running.ready();
        await eventually("the route", async () => (await client.unary("hi")).code === OK);
        const unary = await client.unary("hi");
        assertEquals(unary.messages, ["hi for them"]);
        assertEquals(unary.trailers["x-server"], "one");
        const stream = await client.serverStream(500);
        assertEquals([stream.code, stream.messages.length], [OK, 500]);
        assertEquals(stream.messages.at(-1), "message 499");
        assertEquals(stream.trailers["x-server"], "two");
        const sent = Array.from({ length: 200 }, (_, i) => `part ${i} ${"x".repeat(1000)}`);
        assertEquals((await client.clientStream(sent)).messages, [sent.join(",")]);
        const talk = await client.conversation(["a", "b", "c"]);
        assertEquals([talk.code, talk.messages.join()], [OK, "A,B,C"]);
        // What the backend says of a failure is passed on.
        const failed = await client.unary("fail");
        assertEquals([failed.code, failed.details], [9, "asked to fail"]);
        // No route: Unimplemented. A deadline of the client is the limit here too.
        assertEquals((await client.unknown()).code, 12);
        assertEquals((await client.unary("silence", { deadline: 300 })).code, 4);
      } finally {
        // Before the proxy goes: the client's library does not bear a GOAWAY in every state.
        client.close();
      }
    });
  } finally {
    one.stop();
    two.stop();
  }
});
