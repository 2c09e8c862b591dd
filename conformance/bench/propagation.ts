/**
 * Time from writing a manifest to serving it everywhere: two proxies are asked without pause; the
 * end is the first of twenty right answers in a row on the slower of them. Before it only 404 may
 * be seen, after it only 200.
 */
import { proxyAddress, startStack } from "../../deploy/standalone/stack.ts";
import { LOCAL_PORT, routeManifest, writeManifests } from "./manifests.ts";
import { Probe, until } from "./probe.ts";
import { fixed, outcomeOf, quantile } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const SAMPLES = 200;
const IN_A_ROW = 20;
const TARGETS = [{ routes: 10, p50: 25 }, { routes: 1000, p50: 40 }];
const BACKEND_PORT = 18_211;
/** Milliseconds until a sample counts as lost. */
const PATIENCE = 10_000;

/** Runs every step; returns the verdicts. */
export async function benchPropagation(print: (line: string) => void): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const { routes, p50 } of TARGETS) {
    const { samples, unexpected } = await propagationAt(routes);
    const [median, p99, max] = [0.5, 0.99, 1].map((q) => quantile(samples, q)) as [
      number,
      number,
      number,
    ];
    print(
      `  ${String(routes).padStart(5)} routes  p50 ${fixed(median)}  p99 ${fixed(p99)}  ` +
        `max ${fixed(max)} ms  (${samples.length} samples)`,
    );
    verdicts.push({
      name: `propagation at ${routes} routes, p50`,
      measured: `${fixed(median)} ms`,
      target: `≤ ${p50} ms`,
      outcome: outcomeOf(median <= p50),
    }, {
      name: `propagation at ${routes} routes, answers other than 404 before and 200 after`,
      measured: String(unexpected),
      target: "0",
      outcome: outcomeOf(unexpected === 0),
    });
  }
  return verdicts;
}

/** One step: as many edits as there are samples, in milliseconds, and the answers that were wrong. */
export async function propagationAt(
  routes: number,
): Promise<{ samples: number[]; unexpected: number }> {
  const backend = Deno.serve(
    { hostname: "127.0.0.1", port: BACKEND_PORT, onListen: () => {} },
    () => new Response("ok"),
  );
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  await writeManifests(folder, { routes: routes - 1, backends: { backend: BACKEND_PORT } });
  const stack = await startStack({ manifests: [folder], proxies: 2, env: Deno.env });
  const probes = [0, 1].map((index) => new Probe(proxyAddress(index), LOCAL_PORT));
  const samples: number[] = [];
  let unexpected = 0;
  try {
    await writeProbeRoute(folder, "start.example.com");
    for (const probe of probes) {
      await until(probe, { path: "/", host: "start.example.com", status: 200 });
    }
    for (let i = 0; i < SAMPLES; i++) {
      const host = `probe-${i}.example.com`;
      const watches = probes.map((probe) => watch(probe, host));
      const start = performance.now();
      await writeProbeRoute(folder, host);
      const seen = await Promise.all(watches);
      for (const result of seen) unexpected += result.unexpected;
      samples.push(Math.max(...seen.map(({ first }) => first)) - start);
    }
  } finally {
    for (const probe of probes) probe.close();
    await stack.stop();
    await backend.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
  return { samples, unexpected };
}

/** Written beside and moved into place, as editors and tools do. */
async function writeProbeRoute(folder: string, host: string): Promise<void> {
  const text = routeManifest({
    name: "probe",
    host,
    prefix: "/",
    backend: "backend",
    header: host,
  });
  await Deno.writeTextFile(`${folder}/probe.yaml.new`, text);
  await Deno.rename(`${folder}/probe.yaml.new`, `${folder}/probe.yaml`);
}

/** Asks every millisecond until there were enough right answers in a row. */
export async function watch(
  probe: Probe,
  host: string,
): Promise<{ first: number; unexpected: number }> {
  const begin = performance.now();
  let first = 0;
  let row = 0;
  let unexpected = 0;
  while (row < IN_A_ROW) {
    const asked = performance.now();
    if (asked - begin > PATIENCE) throw new Error(`${host} was not served within ${PATIENCE} ms`);
    const status = (await probe.get("/", host).catch(() => undefined))?.status;
    if (status === 200) {
      if (row++ === 0) first = performance.now();
      continue;
    }
    // Once it was served, nothing but 200 may be seen; before, nothing but 404.
    if (status !== 404 || row > 0) unexpected++;
    row = 0;
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, 1 - (performance.now() - asked)))
    );
  }
  return { first, unexpected };
}
