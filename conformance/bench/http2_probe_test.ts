import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { withHttp2 } from "../../shared/dataplane/serve/testing_http2.ts";
import { Http2Probe } from "./http2_probe.ts";

const answer = (body: string) => ({
  status: 200,
  headers: ["x-route", "r1"],
  body: new TextEncoder().encode(body),
});

Deno.test("Http2Probe.get() reads head and body, more than any window holds", async () => {
  const body = "x".repeat(300_000);
  await withHttp2(() => Promise.resolve(answer(body)), async (server) => {
    const probe = new Http2Probe("127.0.0.1", server.port);
    try {
      for (let i = 0; i < 3; i++) {
        const response = await probe.get("/", "a.test");
        assertEquals([response.status, response.body.length], [200, body.length]);
        assertMatch(response.head, /\r\nx-route: r1/);
      }
      assertEquals(server.connections.length, 1);
    } finally {
      probe.close();
    }
  });
});

Deno.test("Http2Probe.get() opens another connection after one that drained or broke", async () => {
  await withHttp2(() => Promise.resolve(answer("ok")), async (server) => {
    const probe = new Http2Probe("127.0.0.1", server.port);
    try {
      assertEquals((await probe.get("/", "a.test")).body, "ok");
      server.connections[0]?.abort();
      await server.connections[0]?.finished;
      await assertRejects(() => probe.get("/", "a.test"));
      assertEquals((await probe.get("/", "a.test")).body, "ok");
      assertEquals(server.connections.length, 2);
    } finally {
      probe.close();
    }
  });
});
