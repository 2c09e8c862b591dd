import { assert, assertEquals, assertMatch } from "@std/assert";
import { silentLogger } from "../../shared/lib/log.ts";
import { TestingClock } from "../../shared/lib/testing_clock.ts";
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import { asRecord } from "../source/decode/decoder.ts";
import { TestingApiServer } from "../source/kubernetes/testing_api_server.ts";
import { SharedFleetInfrastructure } from "./apply.ts";

const SERVICES = "/services";
const SLICES = "discovery.k8s.io/endpointslices";
const FLEET = [{ name: "proxy-a", address: "10.0.0.1", bound: [10_000], ready: true }];

function gateway(name: string, namespace = "shop"): [string, GatewayInfrastructure] {
  return [`gateway/${namespace}/${name}`, {
    namespace,
    name,
    uid: `uid-of-${namespace}-${name}`,
    className: "lgw",
    labels: {},
    annotations: {},
    plan: {
      mode: "service",
      service: { type: "ClusterIP" },
      ports: [80],
      addresses: [],
      assign: true,
    },
    created: 0,
  }];
}

interface Rig {
  server: TestingApiServer;
  clock: TestingClock;
  infrastructure: SharedFleetInfrastructure;
  writes: () => string[];
  want: (...gateways: [string, GatewayInfrastructure][]) => void;
}

async function withInfrastructure(
  use: (rig: Rig) => Promise<void>,
  { prepare = () => {}, lead = true }: {
    prepare?: (server: TestingApiServer) => void;
    lead?: boolean;
  } = {},
): Promise<void> {
  const server = new TestingApiServer();
  prepare(server);
  const clock = new TestingClock({ onDelay: () => server.notify() });
  const infrastructure = new SharedFleetInfrastructure({
    api: server.api,
    controllerName: "example.com/ours",
    namespaces: [],
    clock,
    random: () => 0.5,
    log: silentLogger,
    fieldManager: "test",
    onChange: () => server.notify(),
    hooks: { onWritten: () => server.notify(), onError: () => server.notify() },
  });
  await infrastructure.start();
  infrastructure.setFleet(FLEET);
  if (lead) infrastructure.lead();
  const want: Rig["want"] = (...gateways) =>
    infrastructure.want(
      new Map(gateways),
      new Map(gateways.map(([scope]) => [scope, new Map([[80, 10_000]])])),
    );
  const writes = () =>
    server.requests.filter(({ method }) => method !== "GET")
      .map(({ method, path }) => `${method} ${path.split("/").slice(-3).join("/")}`);
  try {
    await use({ server, clock, infrastructure, writes, want });
  } finally {
    await infrastructure.close();
    await server.close();
  }
}

const count = (server: TestingApiServer) =>
  server.places(SERVICES).length + server.places(SLICES).length;

Deno.test("SharedFleetInfrastructure makes what a Gateway wants, once, and takes away only that", async () => {
  await withInfrastructure(async ({ server, infrastructure, writes, want }) => {
    want(gateway("gw"), gateway("gw", "other"));
    const bound = () => infrastructure.binds().get("gateway/other/gw")?.get(80);
    await server.until(() => count(server) === 5 && bound() !== undefined);
    const made = writes().length;
    assertEquals([made, bound()], [4, 10_000]);
    // The same again is no write; another round for another reason neither.
    want(gateway("gw"), gateway("gw", "other"));
    want(gateway("gw", "other"));
    await server.until(() => count(server) === 3);
    assertEquals(writes().slice(made).map((write) => write.split(" ")[0]), ["DELETE", "DELETE"]);
    assertEquals(server.places(SERVICES), ["other/gw-lgw", "shop/mine"]);
  }, {
    prepare: (server) => server.put(SERVICES, { metadata: { name: "mine", namespace: "shop" } }),
  });
});

Deno.test("SharedFleetInfrastructure writes nothing before it leads", async () => {
  await withInfrastructure(async ({ server, infrastructure, writes, want }) => {
    want(gateway("gw"));
    assertEquals(writes(), []);
    infrastructure.lead();
    // What was wanted before was a guess at what another controller decides.
    assertEquals(writes(), []);
    want(gateway("gw"));
    await server.until(() => count(server) === 2);
  }, { lead: false });
});

Deno.test("SharedFleetInfrastructure says whose Service is in the way, and takes the name when it is free", async () => {
  await withInfrastructure(async ({ server, clock, infrastructure, want }) => {
    want(gateway("gw"));
    const obstacle = () => infrastructure.obstacle("gateway/shop/gw");
    await server.until(() => obstacle() !== undefined);
    assertMatch(obstacle() ?? "", /"shop\/gw-lgw" is not of this controller; delete or rename it/);
    assertEquals(asRecord(server.get(SERVICES, "shop/gw-lgw")?.spec), { theirs: true });
    // Its clients would come to our pods.
    await server.until(() => server.places(SLICES).length === 0);
    server.remove(SERVICES, "shop/gw-lgw");
    await server.until(() => clock.next !== undefined);
    clock.advance(10_000);
    await server.until(() => obstacle() === undefined && count(server) === 2);
  }, {
    prepare: (server) =>
      server.put(SERVICES, {
        metadata: { name: "gw-lgw", namespace: "shop" },
        spec: { theirs: true },
      }),
  });
});

Deno.test("SharedFleetInfrastructure writes for the others while one write is refused again and again", async () => {
  await withInfrastructure(async ({ server, clock, want }) => {
    const refused = { kind: "status", code: 422, reason: "Invalid" } as const;
    server.fail(
      ({ method, body }) => method === "POST" && asRecord(body.metadata)?.name === "bad-lgw",
      ...Array.from({ length: 4 }, () => refused),
    );
    want(gateway("bad"));
    for (let tries = 0; tries < 3; tries++) {
      await server.until(() => clock.next !== undefined);
      clock.advance(clock.next ?? 0);
    }
    await server.until(() => clock.next !== undefined);
    // It waits by now; this one does not.
    want(gateway("bad"), gateway("good"));
    await server.until(() => server.get(SERVICES, "shop/good-lgw") !== undefined);
    assertEquals(server.get(SERVICES, "shop/bad-lgw"), undefined);
    for (let tries = 0; server.get(SERVICES, "shop/bad-lgw") === undefined; tries++) {
      assert(tries < 10);
      await server.until(() => clock.next !== undefined);
      clock.advance(clock.next ?? 0);
      await server.until(() =>
        clock.next !== undefined || server.get(SERVICES, "shop/bad-lgw") !== undefined
      );
    }
  });
});

Deno.test("SharedFleetInfrastructure makes anew what somebody deletes, and undoes what they change", async () => {
  await withInfrastructure(async ({ server, want }) => {
    want(gateway("gw"));
    await server.until(() => count(server) === 2);
    server.remove(SERVICES, "shop/gw-lgw");
    await server.until(() => count(server) === 2);
    const made = server.get(SERVICES, "shop/gw-lgw");
    assert(made !== undefined);
    server.put(SERVICES, { ...made, spec: { ...asRecord(made.spec), ports: [] } });
    const ports = () => asRecord(server.get(SERVICES, "shop/gw-lgw")?.spec)?.ports;
    await server.until(() => Array.isArray(ports()) && (ports() as unknown[]).length === 1);
  });
});

Deno.test("SharedFleetInfrastructure lets a namespace that goes take its own along", async () => {
  await withInfrastructure(async ({ server, clock, want, writes }) => {
    server.fail(
      ({ method }) => method === "POST",
      { kind: "status", code: 403, message: "forbidden: namespace shop is being terminated" },
      { kind: "status", code: 404, message: 'namespaces "shop" not found' },
    );
    want(gateway("gw"));
    await server.until(() => writes().length === 2);
    want(gateway("gw", "other"));
    await server.until(() => server.get(SERVICES, "other/gw-lgw") !== undefined);
    assertEquals(clock.delays, []);
  });
});
