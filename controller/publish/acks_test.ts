import { assertEquals } from "@std/assert";
import { encodeHeartbeat, type Heartbeat } from "../../shared/bus/heartbeat.ts";
import { fleetFilter, proxySubject } from "../../shared/bus/subjects.ts";
import { startTestServer } from "../../shared/bus/testing.ts";
import { openNatsBus } from "../../shared/bus/transport_nats.ts";
import { Acks } from "./acks.ts";

const SCOPE = "gateway/default/web";

function heartbeat(proxy: string, overrides: Partial<Heartbeat> = {}): Heartbeat {
  return {
    fleet: "default",
    proxy,
    ready: true,
    stopping: false,
    time: 0,
    scopes: new Map([[SCOPE, { lineage: "l", version: 2, digest: "d", degraded: false }]]),
    refusals: [],
    bindFailures: [],
    address: "",
    bound: [],
    draining: false,
    keyIds: [],
    fleetKeyId: "",
    features: [],
    ...overrides,
  };
}

Deno.test("Acks counts ready proxies that serve a version, and forgets those that end", async () => {
  const server = await startTestServer();
  const open = (user: string) =>
    openNatsBus({ access: { url: server.url, user, password: server.passwordOf(user) } });
  const bus = open("controller");
  const proxy = open("proxy");
  const connected = (of: typeof bus) => new Promise<void>((resolve) => of.onConnected(resolve));
  await Promise.all([connected(bus), connected(proxy)]);
  await bus.ensureStreams();
  let ignored = 0;
  let wake = () => {};
  const acks = new Acks({
    bus,
    fleet: "default",
    onChange: () => wake(),
    onIgnored: () => {
      ignored++;
      wake();
    },
  });
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise<void>((resolve) => wake = resolve);
  };
  const send = (subject: string, body: Uint8Array) =>
    proxy.send({ subject: proxySubject("default", subject), signed: { headers: {}, body } });
  try {
    send("p1", encodeHeartbeat(heartbeat("p1")));
    send("p2", encodeHeartbeat(heartbeat("p2", { ready: false })));
    const failure = { scope: SCOPE, port: 80, fleetPort: 8080, error: "in use" };
    send("p3", encodeHeartbeat(heartbeat("p3", { scopes: new Map(), bindFailures: [failure] })));
    await until(() => acks.proxies().size === 3);
    const at = { lineage: "l", version: 2 };
    assertEquals(acks.of(SCOPE, at), { ready: 2, acknowledged: 1, degraded: 0 });
    assertEquals(acks.of(SCOPE, { ...at, version: 3 }).acknowledged, 0);
    assertEquals(acks.of(SCOPE, { ...at, lineage: "other" }).acknowledged, 0);
    assertEquals([...acks.bindFailures()], [["p3", [failure]]]);
    const refusal = { scope: SCOPE, reason: "base", message: "", version: 3 };
    send("p1", encodeHeartbeat(heartbeat("p1", { refusals: [refusal] })));
    await until(() => acks.brokenScopes().size === 1);
    send("p1", encodeHeartbeat(heartbeat("p1", { stopping: true })));
    await until(() => acks.proxies().size === 2);
    send("p4", encodeHeartbeat(heartbeat("p5")));
    send("p5", new TextEncoder().encode("{"));
    await until(() => ignored === 2);
    assertEquals([...acks.proxies().keys()], ["p2", "p3"]);
    assertEquals(fleetFilter("default"), "lgw.v1.proxy.default.*");
  } finally {
    await acks.close();
    await proxy.close();
    await bus.close();
    await server.close();
  }
});
