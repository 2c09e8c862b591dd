/** A process dies; users of the gateway do not notice. */
import { assert, assertEquals } from "@std/assert";
import type { BusKind } from "../../deploy/standalone/stack.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, gateway, route, SCOPE } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually, within } from "./wait.ts";

const TARGET = { port: PORTS.processes };
const HOST = "shop.example.com";

const BUSES: readonly BusKind[] = ["nats", "file"];

/** A test that holds whatever carries the snapshots. */
function onEachBus(name: string, test: (bus: BusKind) => Promise<void>): void {
  for (const bus of BUSES) Deno.test(`${bus}: ${name}`, () => test(bus));
}

async function withTwoBackends(
  bus: BusKind,
  test: (edge: GatewayUnderTest) => Promise<void>,
): Promise<void> {
  const [one, two] = [
    ScriptedBackend.start(answering("one")),
    ScriptedBackend.start(answering("two")),
  ];
  try {
    await withGateway({
      bus,
      files: {
        gateway: gateway({ http: TARGET.port }),
        one: backend("one", one.port),
        two: backend("two", two.port),
        route: route({ host: HOST, backend: "one" }),
      },
    }, async (edge) => {
      await edge.ready();
      await test(edge);
    });
  } finally {
    await one.stop();
    await two.stop();
  }
}

const serves = (body: string) =>
  eventually(`${HOST} is served by ${body}`, async () => {
    const response = await get(TARGET, { host: HOST });
    return response.status === 200 && response.body === body;
  });

async function publishedVersion(edge: GatewayUnderTest): Promise<number> {
  return await eventually("a version is published", async () => {
    return (await edge.status()).scopes[SCOPE]?.version;
  });
}

async function servedVersion(edge: GatewayUnderTest): Promise<number> {
  return (await edge.metrics()).get(`lgw_snapshot_version{scope="${SCOPE}"}`) ?? 0;
}

onEachBus(
  "controller killed: traffic unaffected, edits made meanwhile follow, versions only rise",
  (bus) =>
    withTwoBackends(bus, async (edge) => {
      const before = await publishedVersion(edge);
      await underTraffic(TARGET, {
        host: HOST,
        bodies: ["one", "two"],
        disturb: async (traffic) => {
          const { controller } = edge.stack;
          const again = controller.restarted;
          await controller.current.kill();
          await edge.save("route", route({ host: HOST, backend: "two" }));
          await traffic.more(5);
          await within("the controller comes back", again);
          await serves("two");
        },
      });
      const after = await publishedVersion(edge);
      assertEquals(after, before + 1);
      assertEquals(await servedVersion(edge), after);
      await edge.save("route", route({ host: HOST, backend: "one" }));
      await serves("one");
      await eventually("the next version is served", async () => {
        return await servedVersion(edge) === after + 1;
      });
      assert((await edge.status()).leading);
      // What the last one knew of proxies may have ended with it; they say it again.
      const proxies = await eventually("the proxy is heard of", async () => {
        const { proxies } = await edge.status();
        return proxies.length === 1 && proxies;
      });
      assertEquals(proxies.map(({ problems }) => problems), [[]]);
    }),
);

onEachBus(
  "controller killed without an edit: no new version comes of it",
  (bus) =>
    withTwoBackends(bus, async (edge) => {
      const before = await publishedVersion(edge);
      const again = edge.stack.controller.restarted;
      await edge.stack.controller.current.kill();
      await within("the controller comes back", again);
      assertEquals(await publishedVersion(edge), before);
      await serves("one");
    }),
);

onEachBus(
  "proxy killed: it comes back, is ready and serves what is in force",
  (bus) =>
    withTwoBackends(bus, async (edge) => {
      const [proxy] = edge.stack.proxies;
      assert(proxy !== undefined);
      const again = proxy.restarted;
      await proxy.current.kill();
      await edge.save("route", route({ host: HOST, backend: "two" }));
      await within("the proxy comes back", again);
      await edge.ready();
      await serves("two");
      await eventually("the controller sees it ready", async () => {
        const { proxies, scopes } = await edge.status();
        return proxies.some(({ ready, versions }) =>
          ready && versions[SCOPE] === scopes[SCOPE]?.version
        );
      });
    }),
);

onEachBus(
  "everything killed at once: it all comes back, with the edit made meanwhile",
  (bus) =>
    withTwoBackends(bus, async (edge) => {
      const before = await publishedVersion(edge);
      const { bus: server, controller, proxies } = edge.stack;
      const all = [...server === undefined ? [] : [server], controller, ...proxies];
      assertEquals(all.length, bus === "nats" ? 3 : 2);
      const again = all.map(({ restarted }) => restarted);
      await Promise.all(all.map(({ current }) => current.kill()));
      await edge.save("route", route({ host: HOST, backend: "two" }));
      await within("all processes come back", Promise.all(again));
      await serves("two");
      await edge.ready();
      assertEquals(await publishedVersion(edge), before + 1);
    }),
);
