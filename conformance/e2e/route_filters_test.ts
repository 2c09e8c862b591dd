/** Mirrors, CORS and retries through the real processes: published, required, verified, served. */
import { assertEquals } from "@std/assert";
import { withGateway } from "./harness.ts";
import { backend, gateway } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.routeFilters;
const HOST = "filters.example.com";

/** Two endpoints, of which nobody listens on the first. */
const half = (refusing: number, good: number) => `
apiVersion: gateway.lightapi.net/v1alpha1
kind: LightBackend
metadata: { name: half, namespace: e2e }
spec:
  endpoints: [{ address: 127.0.0.1, port: ${refusing} }, { address: 127.0.0.1, port: ${good} }]
`;

const ROUTE = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: filters, namespace: e2e }
spec:
  parentRefs: [{ name: edge }]
  hostnames: [${HOST}]
  rules:
    - filters:
        - type: RequestMirror
          requestMirror: { backendRef: { group: gateway.lightapi.net, kind: LightBackend, name: copy } }
        - type: CORS
          cors: { allowOrigins: ["https://*.example.org"], allowMethods: [PUT] }
      retry: { attempts: 2 }
      backendRefs: [{ group: gateway.lightapi.net, kind: LightBackend, name: half }]
`;

Deno.test("a route with mirror, CORS and retry works from its manifest to the proxy", async () => {
  const mirrored: string[] = [];
  const copy = ScriptedBackend.start(async (connection) => {
    for (;;) {
      const head = await connection.requestHead();
      if (head === undefined) return;
      mirrored.push(head.split(" ")[1] ?? "");
      await connection.send("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    }
  });
  const good = ScriptedBackend.start(answering("hello"));
  const refusing = ScriptedBackend.start(answering(""));
  const unused = refusing.port;
  await refusing.stop();
  const files = {
    gateway: gateway({ http: HTTP }),
    half: half(unused, good.port),
    copy: backend("copy", copy.port),
    route: ROUTE,
  };
  try {
    await withGateway({ files }, async (under) => {
      await under.ready();
      const headers = { origin: "https://www.example.org" };
      for (let i = 0; i < 6; i++) {
        const answer = await get({ port: HTTP }, { host: HOST, path: `/${i}`, headers });
        assertEquals([answer.status, answer.body], [200, "hello"]);
        assertEquals(answer.headers.get("access-control-allow-origin"), headers.origin);
      }
      await eventually("every request is mirrored", () => Promise.resolve(mirrored.length === 6));
      assertEquals(mirrored.toSorted(), ["/0", "/1", "/2", "/3", "/4", "/5"]);
      const connection = await RawConnection.open({ port: HTTP });
      await connection.send(
        `OPTIONS / HTTP/1.1\r\nhost: ${HOST}\r\norigin: ${headers.origin}\r\n` +
          "access-control-request-method: PUT\r\nconnection: close\r\n\r\n",
      );
      const preflight = await connection.response();
      connection.close();
      assertEquals(preflight.status, 204);
      assertEquals(preflight.headers.get("access-control-allow-methods"), "PUT");
      const metrics = await under.metrics();
      assertEquals(metrics.get('lgw_proxy_mirrors_total{outcome="answered"}'), 6);
      assertEquals((metrics.get('lgw_proxy_route_retries_total{reason="connect"}') ?? 0) > 0, true);
    });
  } finally {
    await Promise.all([copy.stop(), good.stop()]);
  }
});
