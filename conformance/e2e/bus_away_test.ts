/** The bus dies, comes back empty of secrets, or stays away. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually, within } from "./wait.ts";

const PLAIN: Target = { port: PORTS.busAway };
const HTTPS = PORTS.busAway + 1;
const HOST = "shop.example.com";

async function withTlsGateway(
  test: (edge: GatewayUnderTest, secure: Target) => Promise<void>,
): Promise<void> {
  const [one, two] = [
    ScriptedBackend.start(answering("one")),
    ScriptedBackend.start(answering("two")),
  ];
  const certificate = await certificateFor(HOST);
  try {
    await withGateway({
      files: {
        gateway: gateway({
          http: PORTS.busAway,
          https: [{ name: "https", port: HTTPS, secret: "tls" }],
        }),
        one: backend("one", one.port),
        two: backend("two", two.port),
        route: route({ host: HOST, backend: "one" }),
        secret: tlsSecret("tls", certificate),
      },
    }, async (edge) => {
      await edge.ready();
      await test(edge, {
        port: HTTPS,
        tls: { serverName: HOST, trust: [certificate.certificate] },
      });
    });
  } finally {
    await one.stop();
    await two.stop();
  }
}

const serves = (target: Target, body: string) =>
  eventually(`${target.port} is served by ${body}`, async () => {
    const response = await get(target, { host: HOST });
    return response.status === 200 && response.body === body;
  });

Deno.test("NATS killed: traffic unaffected; once back, edits take effect and keys are there again", () =>
  withTlsGateway(async (edge, secure) => {
    const { bus, proxies: [proxy] } = edge.stack;
    assert(bus !== undefined && proxy !== undefined);
    await underTraffic(secure, {
      host: HOST,
      bodies: ["one", "two"],
      disturb: async (traffic) => {
        const again = bus.restarted;
        await bus.current.kill();
        await traffic.more(5);
        await within("the bus comes back", again);
        await edge.save("route", route({ host: HOST, backend: "two" }));
        await serves(secure, "two");
        await serves(PLAIN, "two");
      },
    });
    // The stream of the secrets lived in the memory of the bus that died.
    const again = proxy.restarted;
    await proxy.current.kill();
    await within("the proxy comes back", again);
    await edge.ready();
    assertEquals((await get(secure, { host: HOST })).body, "two");
  }));

Deno.test("an edit saved while NATS is away takes effect when it is back", () =>
  withTlsGateway(async (edge, secure) => {
    const { bus } = edge.stack;
    assert(bus !== undefined);
    const away = await bus.hold();
    await underTraffic(PLAIN, {
      host: HOST,
      bodies: ["one", "two"],
      disturb: async (traffic) => {
        await edge.save("route", route({ host: HOST, backend: "two" }));
        await traffic.more(5);
        away.release();
        await serves(PLAIN, "two");
      },
    });
    await serves(secure, "two");
  }));

Deno.test("proxy started while NATS is away: plaintext from its own copy, TLS once the keys are back", () =>
  withTlsGateway(async (edge, secure) => {
    const { bus, proxies: [proxy] } = edge.stack;
    assert(bus !== undefined && proxy !== undefined);
    await serves(secure, "one");
    await eventually("the proxy has its local copy", async () => {
      await Deno.stat(`${edge.stack.stateDir}/proxy-0/last-good/values.jsonl`);
      return true;
    });
    const away = await bus.hold();
    const again = proxy.restarted;
    await proxy.current.kill();
    await within("the proxy comes back", again);
    await serves(PLAIN, "one");
    await assertRejects(() => RawConnection.open(secure));
    const response = await fetch(`${edge.stack.adminOf(proxy)}/readyz`);
    assertEquals(response.status, 503, await response.text());
    away.release();
    await serves(secure, "one");
    await edge.ready();
    await edge.save("route", route({ host: HOST, backend: "two" }));
    await serves(secure, "two");
  }));
