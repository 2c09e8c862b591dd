/** Two proxies on one machine, and ports that somebody else has. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, gateway, route, SCOPE } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const PORT = PORTS.proxies;
const HOST = "shop.example.com";
const ADDRESSES = ["127.0.0.1", "127.0.0.2"];

async function withTwoProxies(test: (edge: GatewayUnderTest) => Promise<void>): Promise<void> {
  const [one, two] = [
    ScriptedBackend.start(answering("one")),
    ScriptedBackend.start(answering("two")),
  ];
  try {
    await withGateway({
      proxies: ADDRESSES.length,
      files: {
        gateway: gateway({ http: PORT }),
        one: backend("one", one.port),
        two: backend("two", two.port),
        route: route({ host: HOST, backend: "one" }),
      },
    }, test);
  } finally {
    await one.stop();
    await two.stop();
  }
}

async function allServe(port: number, body: string): Promise<void> {
  for (const hostname of ADDRESSES) {
    await eventually(`${hostname}:${port} is served by ${body}`, async () => {
      return (await get({ hostname, port }, { host: HOST })).body === body;
    });
  }
}

Deno.test("two proxies: both serve, both follow an edit, /status shows both", () =>
  withTwoProxies(async (edge) => {
    await edge.ready();
    await allServe(PORT, "one");
    await edge.save("route", route({ host: HOST, backend: "two" }));
    await allServe(PORT, "two");
    const proxies = await eventually("both acknowledged the version", async () => {
      const { proxies, scopes } = await edge.status();
      const version = scopes[SCOPE]?.version;
      return proxies.length === 2 && proxies.every(({ versions }) => versions[SCOPE] === version) &&
        proxies;
    });
    assertEquals(proxies.map(({ name, ready, problems }) => [name, ready, problems]).sort(), [
      ["proxy-0", true, []],
      ["proxy-1", true, []],
    ]);
    const gateway = await eventually("the Gateway is programmed", async () => {
      return (await edge.status()).objects["Gateway/e2e/edge"]?.conditions
        ?.find(({ type, status }) => type === "Programmed" && status === "True");
    });
    assertEquals(gateway.reason, "Programmed");
  }));

Deno.test("a taken port is reported, and every proxy moves to the next free one", async () => {
  // On the second proxy's address only: the first one moves with it.
  const taken = Deno.listen({ hostname: "127.0.0.2", port: PORT });
  try {
    await withTwoProxies(async (edge) => {
      await allServe(PORT + 1, "one");
      await edge.ready();
      const reported = edge.log.find((line) =>
        line.startsWith("[proxy-1]") && line.includes("listener_bind_failed")
      );
      assertStringIncludes(reported ?? "", `"fleetPort":${PORT}`);
      await eventually("/status shows both ready, without problems", async () => {
        const { proxies } = await edge.status();
        return proxies.length === 2 &&
          proxies.every(({ ready, problems }) => ready && problems.length === 0);
      });
    });
  } finally {
    taken.close();
  }
});
