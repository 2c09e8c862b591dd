/** Two workers of one proxy: they share its ports, and every edit reaches both. */
import { assert, assertEquals } from "@std/assert";
import { loadSettings } from "../../shared/config/load.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, route, SCOPE, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.workers;
const HTTPS = PORTS.workers + 1;
const HOST = "shop.example.com";
/** Connections are spread by their source ports: so many reach both workers, short of a miracle. */
const VISITS = 24;

async function withTwoWorkers(
  test: (edge: GatewayUnderTest, secure: Target) => Promise<void>,
): Promise<void> {
  const one = ScriptedBackend.start(answering("one"));
  const two = ScriptedBackend.start(answering("two"));
  const certificate = await certificateFor(HOST);
  const https = [{ name: "https", port: HTTPS, hostname: HOST, secret: "cert" }];
  try {
    await withGateway(
      {
        settings: { ...loadSettings({ env: { get: () => undefined } }), workers: 2 },
        files: {
          gateway: gateway({ http: HTTP, https }),
          one: backend("one", one.port),
          two: backend("two", two.port),
          route: route({ host: HOST, backend: "one" }),
          secret: tlsSecret("cert", certificate),
        },
      },
      (edge) =>
        test(edge, { port: HTTPS, tls: { serverName: HOST, trust: [certificate.certificate] } }),
    );
  } finally {
    await one.stop();
    await two.stop();
  }
}

/** The bodies that so many fresh connections get. */
async function bodies(target: Target): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < VISITS; i++) seen.add((await get(target, { host: HOST })).body);
  return seen;
}

Deno.test("two workers: an edit under traffic reaches both, over plaintext and TLS", () =>
  withTwoWorkers(async (edge, secure) => {
    await edge.ready();
    assertEquals(await bodies({ port: HTTP }), new Set(["one"]));
    assertEquals(await bodies(secure), new Set(["one"]));
    await underTraffic({ port: HTTP }, {
      host: HOST,
      bodies: ["one", "two"],
      disturb: async () => {
        const before = (await edge.status()).scopes[SCOPE]?.version ?? 0;
        await edge.save("route", route({ host: HOST, backend: "two" }));
        // Acknowledged means that every worker has swapped.
        await eventually("the edit is acknowledged", async () => {
          const { proxies } = await edge.status();
          return (proxies[0]?.versions[SCOPE] ?? 0) > before;
        });
        assertEquals(await bodies({ port: HTTP }), new Set(["two"]));
        assertEquals(await bodies(secure), new Set(["two"]));
      },
    });
    const requests = [...await edge.metrics()].filter(([name]) =>
      name.startsWith("lgw_proxy_requests_total{")
    );
    const total = requests.reduce((sum, [, value]) => sum + value, 0);
    assert(total >= 4 * VISITS, `${total} requests counted`);
  }));
