import { assertEquals, assertThrows } from "@std/assert";
import { parseHealthAddress, serveHealth } from "./health_server.ts";

Deno.test("serveHealth() answers probes and metrics, and nothing else", async () => {
  let ready = false;
  const server = serveHealth({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/healthz": () => new Response("ok\n"),
      "/readyz": () => new Response("wait\n", { status: ready ? 200 : 503 }),
      "/metrics": () => Promise.resolve(new Response("m 1\n")),
    },
  });
  const ask = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [response.status, await response.text()];
  };
  try {
    assertEquals(await ask("/healthz"), [200, "ok\n"]);
    assertEquals(await ask("/readyz"), [503, "wait\n"]);
    ready = true;
    assertEquals((await ask("/readyz"))[0], 200);
    assertEquals(await ask("/metrics"), [200, "m 1\n"]);
    assertEquals(await ask("/status"), [404, "/healthz\n/metrics\n/readyz\n"]);
    assertEquals((await ask("/toString"))[0], 404);
    assertEquals((await ask("/healthz", "POST"))[0], 405);
  } finally {
    await server.close();
  }
});

Deno.test("parseHealthAddress() names the member that is wrong", () => {
  assertEquals(parseHealthAddress(undefined, "health"), undefined);
  assertThrows(
    () => parseHealthAddress({ hostname: "0.0.0.0", port: 0 }, "health"),
    Error,
    "health.port",
  );
});
