import { assertEquals } from "@std/assert";
import { systemClock } from "../shared/lib/clock.ts";
import { silentLogger } from "../shared/lib/log.ts";
import { ControllerLoop } from "./loop.ts";
import { FleetPorts } from "./infra/fleet_ports.ts";
import { MemoryStatuses } from "./status/sink.ts";
import { ControllerMetrics } from "./observe/metrics.ts";
import type { PublishResult } from "./publish/result.ts";
import type { Desired } from "./publish/types.ts";
import { loadInline } from "./source/files/inline.ts";
import { ManifestSet } from "./source/files/manifest_set.ts";

const SCOPE = "gateway/default/gw";

const MANIFEST = (port: number) => `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: lgw }
spec: { controllerName: networknt.com/light-k8s-gateway }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gw, namespace: default }
spec:
  gatewayClassName: lgw
  listeners: [{ name: http, port: ${port}, protocol: HTTP }]
`;

function published(more: Partial<Extract<PublishResult, { kind: "published" }>>): PublishResult {
  return {
    kind: "published",
    lineage: "l",
    epoch: 1,
    scopes: new Map(),
    oversize: [],
    failures: [],
    ...more,
  };
}

interface Rig {
  loop: ControllerLoop;
  metrics: ControllerMetrics;
  /** Puts the Gateway with this port into the store. */
  put: (port: number) => void;
  /** The Gateway's Programmed condition, as `status reason`, after the next write of statuses. */
  programmed: () => Promise<string>;
}

function memoryStatuses(metrics: ControllerMetrics): MemoryStatuses {
  return new MemoryStatuses({
    context: () => ({ now: Date.now(), controllerName: "networknt.com/light-k8s-gateway" }),
    onUpdate: () => metrics.statusUpdates.inc(),
  });
}

async function withLoop(
  publish: (desired: Desired) => Promise<PublishResult>,
  use: (rig: Rig) => Promise<void>,
  ready: () => ReadonlyMap<string, number>[] = () => [],
): Promise<void> {
  const metrics = new ControllerMetrics();
  const set = new ManifestSet({ now: () => 0 });
  let written = Promise.withResolvers<void>();
  const inc = metrics.statusUpdates.inc.bind(metrics.statusUpdates);
  metrics.statusUpdates.inc = () => {
    inc();
    written.resolve();
  };
  const loop = new ControllerLoop({
    publisher: { publish },
    fleet: {
      readyVersions: ready,
      unusablePorts: () => new Set(),
      reports: () => [],
    },
    controllerName: "networknt.com/light-k8s-gateway",
    surroundings: { addresses: () => [{ type: "IPAddress", value: "127.0.0.1" }] },
    ports: new FleetPorts({ preferred: (port) => port, clock: systemClock, log: silentLogger }),
    statuses: memoryStatuses(metrics),
    metrics,
    clock: systemClock,
    log: silentLogger,
  });
  try {
    await use({
      loop,
      metrics,
      put: (port) => {
        set.setFile("gw.yaml", MANIFEST(port), { removals: "apply" });
        loop.onBatch("test", set.take());
        loop.start();
      },
      programmed: async () => {
        await written.promise;
        written = Promise.withResolvers();
        const status = loop.report().objects["Gateway/default/gw"];
        const condition = status?.conditions?.find(({ type }) => type === "Programmed");
        return `${condition?.status} ${condition?.reason}`;
      },
    });
  } finally {
    loop.close();
  }
}

Deno.test("ControllerLoop publishes nothing until every source has told what there is", async () => {
  const calls: Desired[] = [];
  const first = Promise.withResolvers<void>();
  const loop = new ControllerLoop({
    publisher: {
      publish: (desired) => {
        calls.push(desired);
        first.resolve();
        return Promise.resolve(published({}));
      },
    },
    fleet: { readyVersions: () => [], unusablePorts: () => new Set(), reports: () => [] },
    controllerName: "networknt.com/light-k8s-gateway",
    surroundings: { addresses: () => [{ type: "IPAddress", value: "127.0.0.1" }] },
    ports: new FleetPorts({ preferred: (port) => port, clock: systemClock, log: silentLogger }),
    statuses: memoryStatuses(new ControllerMetrics()),
    metrics: new ControllerMetrics(),
    clock: systemClock,
    log: silentLogger,
  });
  try {
    loop.onBatch("one", loadInline(MANIFEST(8000), "one"));
    loop.onFleetChanged();
    loop.onBatch("two", loadInline(MANIFEST(8000).replaceAll("name: gw,", "name: two,"), "two"));
    await systemClock.delay(0);
    assertEquals(calls.length, 0);
    loop.start();
    await first.promise;
    assertEquals([...calls[0]?.scopes.keys() ?? []].sort(), [SCOPE, "gateway/default/two"]);
  } finally {
    loop.close();
  }
});

Deno.test("ControllerLoop goes on after a publish that threw, and counts it", async () => {
  let calls = 0;
  const again = Promise.withResolvers<void>();
  await withLoop(() => {
    if (++calls === 1) return Promise.reject(new Error("broken"));
    again.resolve();
    return Promise.resolve(published({}));
  }, async ({ put, metrics }) => {
    put(8000);
    // The rejection is handled in microtasks; the next change must find the loop idle.
    await systemClock.delay(0);
    put(8001);
    await again.promise;
    assertEquals((await metrics.passFailures.get()).values[0]?.value, 1);
  });
});

Deno.test("ControllerLoop says of a scope that does not fit that resources are missing", async () => {
  await withLoop(
    () =>
      Promise.resolve(published({
        scopes: new Map([[SCOPE, { version: 3, digest: "d", changed: false, changes: [] }]]),
        oversize: [{ scope: SCOPE, bytes: 1, message: "LGW_CURRENT is full" }],
      })),
    async ({ put, programmed }) => {
      put(8000);
      assertEquals(await programmed(), "False NoResources");
    },
    // The version in force is an earlier one: acknowledging it proves nothing.
    () => [new Map([[SCOPE, 3]])],
  );
});

Deno.test("ControllerLoop does not call a generation programmed that came while publishing", async () => {
  const first = Promise.withResolvers<PublishResult>();
  const second = Promise.withResolvers<void>();
  const never = Promise.withResolvers<PublishResult>();
  let calls = 0;
  const version = (n: number) =>
    published({
      scopes: new Map([[SCOPE, { version: n, digest: "d", changed: true, changes: [] }]]),
    });
  await withLoop(
    () => {
      if (++calls === 1) return first.promise;
      second.resolve();
      return never.promise;
    },
    async ({ put, programmed }) => {
      put(8000);
      put(8001);
      first.resolve(version(1));
      await second.promise;
      // Generation 2 is not published yet; every proxy serves version 1.
      assertEquals(await programmed(), "Unknown Pending");
    },
    () => [new Map([[SCOPE, 1]])],
  );
});

Deno.test("ControllerLoop counts last-value data that could not be written", async () => {
  await withLoop(
    () => Promise.resolve(published({ failures: [{ subject: "s", message: "no room" }] })),
    async ({ put, programmed, metrics }) => {
      put(8000);
      await programmed();
      assertEquals((await metrics.valueFailures.get()).values[0]?.value, 1);
    },
  );
});
