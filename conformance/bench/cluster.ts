/**
 * What a change costs in a cluster: from the request to the API server until every proxy pod
 * answers by it, with the shares of API server, compile and publish.
 */
import { Probe } from "./probe.ts";
import {
  type ClusterRig,
  create,
  inParallel,
  metricsOf,
  openClusterRig,
  patch,
  routeObject,
  routesPath,
  waitFor,
} from "./cluster_rig.ts";
import { watch } from "./propagation.ts";
import { fixed, median, outcomeOf, quantile } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const SAMPLES = 100;
const STEPS = [10, 1000];
/** Milliseconds. */
const TARGET = 40;

interface Sample {
  total: number;
  /** Until the API server answered. */
  write: number;
}

export async function benchCluster(
  print: (line: string) => void,
  { kubeconfig }: { kubeconfig: string },
): Promise<Verdict[]> {
  const rig = await openClusterRig(kubeconfig);
  const verdicts: Verdict[] = [];
  try {
    await create(rig.api, routesPath, routeObject("probe", { host: "start.example.com" }));
    let routes = 1;
    for (const step of STEPS) {
      const fill = Array.from({ length: step - routes }, (_, index) => routes + index);
      await inParallel(fill, {
        width: 16,
        run: (index) =>
          create(
            rig.api,
            routesPath,
            routeObject(`fill-${index}`, { host: "fill.example.com", path: `/r${index}` }),
          ),
      });
      routes = step;
      verdicts.push(...await measure(rig, { routes, print }));
    }
  } finally {
    await rig.close();
  }
  return verdicts;
}

async function measure(
  rig: ClusterRig,
  { routes, print }: { routes: number; print: (line: string) => void },
): Promise<Verdict[]> {
  await settled(rig);
  const leader = await rig.leader();
  const before = await metricsOf(leader);
  const samples: Sample[] = [];
  let unexpected = 0;
  const probes = rig.proxies.map((address) => new Probe(address, rig.fleetPort));
  try {
    for (let i = 0; i < SAMPLES; i++) {
      const host = `probe-${routes}-${i}.example.com`;
      const watches = probes.map((probe) => watch(probe, host));
      const start = performance.now();
      await patch(rig.api, `${routesPath}/probe`, { spec: { hostnames: [host] } });
      const write = performance.now() - start;
      const seen = await Promise.all(watches);
      for (const result of seen) unexpected += result.unexpected;
      samples.push({ total: Math.max(...seen.map(({ first }) => first)) - start, write });
    }
  } finally {
    for (const probe of probes) probe.close();
  }
  const after = await metricsOf(leader);
  const mean = (name: string) => {
    const delta = (key: string) => (after.get(key) ?? 0) - (before.get(key) ?? 0);
    return 1000 * delta(`${name}_sum`) / delta(`${name}_count`);
  };
  const totals = samples.map(({ total }) => total);
  const p50 = median(totals);
  const write = median(samples.map((sample) => sample.write));
  const compile = mean("lgw_controller_compile_duration_seconds");
  const publish = mean("lgw_controller_publish_duration_seconds") - compile;
  print(
    `  ${String(routes).padStart(5)} routes, ${rig.proxies.length} proxies  p50 ${fixed(p50)}  ` +
      `p99 ${fixed(quantile(totals, 0.99))}  max ${fixed(quantile(totals, 1))} ms: API write ` +
      `${fixed(write)}, compile ${fixed(compile)}, publish ${fixed(publish)}, watch, verify and ` +
      `apply ${fixed(p50 - write - compile - publish)}  (${SAMPLES} samples)`,
  );
  return [{
    name: `cluster, apply to 200 at ${routes} routes, p50`,
    measured: `${fixed(p50)} ms`,
    target: `≤ ${TARGET} ms`,
    outcome: outcomeOf(p50 <= TARGET),
  }, {
    name: `cluster, answers other than 404 before and 200 after at ${routes} routes`,
    measured: String(unexpected),
    target: "0",
    outcome: outcomeOf(unexpected === 0),
  }];
}

/** Resolves when the leader has written no status for a second. */
async function settled(rig: ClusterRig): Promise<void> {
  let last = -1;
  let since = performance.now();
  await waitFor("an idle controller", async () => {
    const metrics = await metricsOf(await rig.leader());
    const writes = sum(metrics, "lgw_controller_status_updates_total");
    if (writes !== last) [last, since] = [writes, performance.now()];
    return performance.now() - since > 1000 ? true : undefined;
  });
}

/** Of all series of a metric. */
export function sum(metrics: ReadonlyMap<string, number>, name: string): number {
  let total = 0;
  for (const [key, value] of metrics) {
    if (key === name || key.startsWith(`${name}{`)) total += value;
  }
  return total;
}
