import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { KubeApi, KubeApiError } from "./api.ts";
import { TestingApiServer } from "./testing_api_server.ts";

async function refusedBy(
  use: (server: TestingApiServer) => Promise<unknown>,
): Promise<KubeApiError> {
  const server = new TestingApiServer();
  try {
    return await assertRejects(() => use(server), KubeApiError);
  } finally {
    await server.close();
  }
}

const get = (server: TestingApiServer) =>
  server.api.request({ method: "GET", path: "/api/v1/namespaces/ns/services/s" });

Deno.test("KubeApi says what was asked, and in the server's words why not", async () => {
  const { status, reason, message, retryAfter } = await refusedBy((server) => {
    const message = "too many of you";
    server.fail(() => true, { kind: "status", code: 429, reason: "Busy", retryAfter: 3, message });
    return get(server);
  });
  assertEquals([status, reason, retryAfter], [429, "Busy", 3_000]);
  assertMatch(message, /^GET \/api\/v1\/namespaces\/ns\/services\/s: 429 too many of you$/);
});

Deno.test("KubeApi goes nowhere else, whoever sends it there", async () => {
  const { status } = await refusedBy((server) => {
    server.fail(() => true, { kind: "status", code: 307 });
    return get(server);
  });
  assertEquals(status, 0);
});

Deno.test("KubeApi takes no longer than it was given", async () => {
  const server = new TestingApiServer();
  const path = "/api/v1/services";
  try {
    // A watch that says nothing never ends by itself.
    const error = await assertRejects(
      () =>
        server.api.request({
          method: "GET",
          path,
          query: [["watch", "true"], ["resourceVersion", "200"]],
          timeout: 20,
        }),
      KubeApiError,
    );
    assertMatch(error.message, /no answer within 20 ms/);
  } finally {
    await server.close();
  }
});

Deno.test("KubeApi tells a server that cannot be reached from one that refuses", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const client = Deno.createHttpClient({});
  const api = new KubeApi({
    access: {
      server: `http://127.0.0.1:${port}`,
      client,
      headers: () => Promise.resolve({}),
    },
    userAgent: "test",
  });
  const error = await assertRejects(
    () => api.request({ method: "GET", path: "/api/v1/services" }),
    KubeApiError,
  );
  assertEquals(error.status, 0);
  client.close();
});
