/**
 * What many routes cost in a cluster: a thousand created at once, five thousand of somebody else's
 * class, and memory with five thousand routes to as many Services.
 */
import { asRecord } from "../../controller/source/decode/decoder.ts";
import {
  type ClusterRig,
  create,
  inParallel,
  metricsOf,
  NAMESPACE,
  openClusterRig,
  patch,
  routeObject,
  routesPath,
  waitFor,
} from "./cluster_rig.ts";
import { sum } from "./cluster.ts";
import { fixed, outcomeOf, type Verdict } from "./statistics.ts";

const BURST = 1000;
const MANY = 5000;
const WIDTH = 16;
/** Seconds that the CPU of an idle controller is watched. */
const IDLE_SECONDS = 30;
/** Milliseconds until a controller that nothing happens to has collected its garbage. */
const REST = 10_000;
const GATEWAY = `/apis/gateway.networking.k8s.io/v1/namespaces/${NAMESPACE}/gateways`;
const SERVICES = `/api/v1/namespaces/${NAMESPACE}/services`;

type Print = (line: string) => void;

export async function benchClusterScale(
  print: Print,
  { kubeconfig }: { kubeconfig: string },
): Promise<Verdict[]> {
  const rig = await openClusterRig(kubeconfig);
  try {
    return [
      ...await burst(rig, print),
      ...await foreign(rig, print),
      ...await memory(rig, print),
    ];
  } finally {
    await rig.close();
  }
}

function numbered(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Accepted routes as the Gateway's status has them. */
async function attached(rig: ClusterRig): Promise<number> {
  const gateway = await rig.api.request({ method: "GET", path: `${GATEWAY}/bench` });
  const listeners = asRecord(gateway.status)?.listeners;
  const count = asRecord(Array.isArray(listeners) ? listeners[0] : undefined)?.attachedRoutes;
  return typeof count === "number" ? count : 0;
}

async function burst(rig: ClusterRig, print: Print): Promise<Verdict[]> {
  await waitFor("the Gateway's status", async () => await attached(rig) === 0 ? true : undefined);
  const leader = await rig.leader();
  const before = await metricsOf(leader);
  await inParallel(numbered(BURST), {
    width: WIDTH,
    run: (index) =>
      create(
        rig.api,
        routesPath,
        routeObject(`burst-${index}`, { host: "burst.example.com", path: `/r${index}` }),
      ),
  });
  const created = performance.now();
  await waitFor("attachedRoutes", async () => await attached(rig) === BURST ? true : undefined);
  const seconds = (performance.now() - created) / 1000;
  // What is written late counts as well.
  await quiet(leader);
  const after = await metricsOf(leader);
  const writes = (kind: string) => {
    const key = `lgw_controller_status_updates_total{kind="${kind}"}`;
    return (after.get(key) ?? 0) - (before.get(key) ?? 0);
  };
  const [routes, gateways] = [writes("HTTPRoute") / BURST, writes("Gateway")];
  print(
    `  ${BURST} routes at once: attachedRoutes right ${fixed(seconds)} s after the last create; ` +
      `${routes.toFixed(2)} status writes per route, ${gateways} to the Gateway`,
  );
  return [{
    name: `cluster, ${BURST} routes at once, attachedRoutes right after the last create`,
    measured: `${seconds.toFixed(2)} s`,
    target: "≤ 3 s",
    outcome: outcomeOf(seconds <= 3),
  }, {
    name: "cluster, status writes per route",
    measured: routes.toFixed(2),
    target: "≤ 1.1",
    outcome: outcomeOf(routes <= 1.1),
  }, {
    name: "cluster, status writes to the Gateway meanwhile",
    measured: String(gateways),
    target: "≤ 50",
    outcome: outcomeOf(gateways <= 50),
  }];
}

/** Routes of another class, and their owner's writes, are none of ours. */
async function foreign(rig: ClusterRig, print: Print): Promise<Verdict[]> {
  await create(rig.api, GATEWAY, {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name: "foreign", namespace: NAMESPACE },
    spec: {
      gatewayClassName: "somebody-elses",
      listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
    },
  });
  await inParallel(numbered(MANY), {
    width: WIDTH,
    run: (index) =>
      create(
        rig.api,
        routesPath,
        routeObject(`foreign-${index}`, {
          host: "foreign.example.com",
          path: `/r${index}`,
          gateway: "foreign",
        }),
      ),
  });
  const leader = await rig.leader();
  await quiet(leader);
  // What the routes cost while they are there, not the one collection after they came.
  await new Promise((resolve) => setTimeout(resolve, REST));
  const idle = await share(leader);
  // Their owner writes to one of them every 100 ms.
  let writing = true;
  const writer = (async () => {
    for (let i = 0; writing; i++) {
      await patch(rig.api, `${routesPath}/foreign-${i % MANY}`, {
        metadata: { annotations: { touched: String(i) } },
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  const busy = await share(leader);
  writing = false;
  await writer;
  print(
    `  ${MANY} routes of another class: ${(100 * idle).toFixed(2)} % CPU, with ten changes of ` +
      `theirs a second ${(100 * busy).toFixed(2)} %`,
  );
  const worst = Math.max(idle, busy);
  return [{
    name: `cluster, CPU for ${MANY} routes of another class`,
    measured: `${(100 * worst).toFixed(2)} %`,
    target: "≤ 2 %",
    outcome: outcomeOf(worst <= 0.02),
  }];
}

async function memory(rig: ClusterRig, print: Print): Promise<Verdict[]> {
  await inParallel(numbered(MANY), {
    width: WIDTH,
    run: async (index) => {
      await create(rig.api, SERVICES, {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: `many-${index}`, namespace: NAMESPACE },
        // Headless: addresses of Services are fewer than that in many clusters.
        spec: { clusterIP: "None", ports: [{ port: 80 }], selector: { app: `many-${index}` } },
      });
      const route = routeObject(`many-${index}`, { host: "many.example.com", path: `/r${index}` });
      const rules = [{
        matches: [{ path: { type: "PathPrefix", value: `/r${index}` } }],
        backendRefs: [{ name: `many-${index}`, port: 80 }],
      }];
      await create(rig.api, routesPath, { ...route, spec: { ...asRecord(route.spec), rules } });
    },
  });
  const leader = await rig.leader();
  await quiet(leader);
  // What it holds, not what it took to get there: it collects when nothing has happened for a while.
  await new Promise((resolve) => setTimeout(resolve, REST));
  const metrics = await metricsOf(leader);
  const megabytes = (metrics.get("process_resident_memory_bytes") ?? 0) / 1e6;
  print(`  ${MANY} routes to ${MANY} Services: controller ${megabytes.toFixed(0)} MB`);
  return [{
    name: `cluster, memory of the controller at ${MANY} routes and Services`,
    measured: `${megabytes.toFixed(0)} MB`,
    target: "≤ 400 MB",
    outcome: outcomeOf(megabytes <= 400),
  }];
}

/** Resolves when no status was written for two seconds. */
async function quiet(address: string): Promise<void> {
  let last = -1;
  let since = performance.now();
  await waitFor("an idle controller", async () => {
    const writes = sum(await metricsOf(address), "lgw_controller_status_updates_total");
    if (writes !== last) [last, since] = [writes, performance.now()];
    return performance.now() - since > 2000 ? true : undefined;
  });
}

/** Share of a core that the process uses, over {@linkcode IDLE_SECONDS}. */
async function share(address: string): Promise<number> {
  const cpu = async () => (await metricsOf(address)).get("process_cpu_seconds_total") ?? 0;
  const [before, start] = [await cpu(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1000));
  return (await cpu() - before) / ((performance.now() - start) / 1000);
}
