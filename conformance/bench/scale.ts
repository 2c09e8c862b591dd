/**
 * What 5,000 routes cost, against what few cost: start, edits (CPU, bytes, time until served),
 * memory while they are there and when they are gone, and whether a request notices.
 */
import { startStack } from "../../deploy/standalone/stack.ts";
import type { Stack } from "../../deploy/standalone/stack.ts";
import { HOST, LOCAL_PORT, removeRoutes, writeManifests } from "./manifests.ts";
import { measureEdits } from "./edit_cost.ts";
import { Probe, until } from "./probe.ts";
import { residentMegabytes } from "./process.ts";
import { propagationAt } from "./propagation.ts";
import { comparePositions } from "./route_position.ts";
import { fixed, median, outcomeOf, quantile } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const ROUTES = 5000;
const FEW = 10;
const STARTS = 3;
const BACKEND_PORT = 18_231;
const EDITS = 250;
/** Milliseconds of quiet before memory is read: collectors run when nothing else does. */
const QUIET = 60_000;
const READS = 5;
const READ_INTERVAL = 2000;

const TARGETS = {
  start: 4,
  controllerCpu: 20,
  proxyCpu: 5,
  bytes: 10_000,
  propagation: 40,
  propagationRatio: 1.6,
  proxyMemory: 60,
  controllerMemory: 300,
  afterDelete: 1.2,
  position: 1.05,
};

interface Memory {
  controller: number;
  proxy: number;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Runs all parts; returns the verdicts. */
export async function benchScale(print: (line: string) => void): Promise<Verdict[]> {
  const backend = Deno.serve(
    { hostname: "127.0.0.1", port: BACKEND_PORT, onListen: () => {} },
    () => new Response("ok"),
  );
  try {
    const idle = await idleMemory();
    print(`  idle: controller ${fixed(idle.controller)} MB, proxy ${fixed(idle.proxy)} MB`);
    return [
      ...await startVerdicts(print),
      ...await propagationVerdicts(print),
      ...await lifeVerdicts(idle, print),
    ];
  } finally {
    await backend.shutdown();
  }
}

/** A stack on a folder of its own, both gone afterwards. */
async function withStack<T>(
  routes: number,
  use: (context: { stack: Stack; folder: string; started: number }) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  try {
    await writeManifests(folder, { routes, backends: { backend: BACKEND_PORT } });
    const started = performance.now();
    const stack = await startStack({ manifests: [folder], env: Deno.env });
    try {
      return await use({ stack, folder, started });
    } finally {
      await stack.stop();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function served(route: number, status = 200): Promise<void> {
  const probe = new Probe("127.0.0.1", LOCAL_PORT);
  await until(probe, { path: `/r${route}`, host: HOST, status });
  probe.close();
}

async function memoryOf(stack: Stack): Promise<Memory> {
  const reads: Memory[] = [];
  for (let i = 0; i < READS; i++) {
    if (i > 0) await sleep(READ_INTERVAL);
    reads.push({
      controller: await residentMegabytes(stack.controller.current.pid),
      proxy: await residentMegabytes(stack.proxies[0]?.current.pid ?? 0),
    });
  }
  return {
    controller: median(reads.map(({ controller }) => controller)),
    proxy: median(reads.map(({ proxy }) => proxy)),
  };
}

function idleMemory(): Promise<Memory> {
  return withStack(1, async ({ stack }) => {
    await served(0);
    await sleep(QUIET / 2);
    return await memoryOf(stack);
  });
}

async function startVerdicts(print: (line: string) => void): Promise<Verdict[]> {
  const seconds: number[] = [];
  const ratios: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    await withStack(ROUTES, async ({ started }) => {
      await served(ROUTES - 1);
      seconds.push((performance.now() - started) / 1000);
    });
  }
  await withStack(ROUTES, async ({ stack }) => {
    await served(ROUTES - 1);
    const pid = stack.proxies[0]?.current.pid ?? 0;
    ratios.push(...await comparePositions({ pid, first: "/r0", last: `/r${ROUTES - 1}` }));
  });
  print(`  start: ${seconds.map((value) => fixed(value, 2)).join(", ")} s`);
  return [{
    name: `start with ${ROUTES} routes to the first right answer`,
    measured: `${fixed(median(seconds), 2)} s (median of ${STARTS})`,
    target: `≤ ${TARGETS.start} s`,
    outcome: outcomeOf(median(seconds) <= TARGETS.start),
  }, {
    name: `CPU per request, last against first of ${ROUTES} routes`,
    measured: `${fixed(median(ratios), 3)} × (${fixed(Math.min(...ratios), 2)}–${
      fixed(Math.max(...ratios), 2)
    }, ${ratios.length} rounds)`,
    target: `≤ ${TARGETS.position} ×`,
    outcome: outcomeOf(median(ratios) <= TARGETS.position),
  }];
}

async function propagationVerdicts(print: (line: string) => void): Promise<Verdict[]> {
  const medians: number[] = [];
  let unexpected = 0;
  for (const routes of [FEW, ROUTES]) {
    const step = await propagationAt(routes);
    const [p50, p99] = [quantile(step.samples, 0.5), quantile(step.samples, 0.99)];
    print(`  propagation at ${routes} routes: p50 ${fixed(p50)}  p99 ${fixed(p99)} ms`);
    medians.push(p50);
    unexpected += step.unexpected;
  }
  const [few = NaN, many = NaN] = medians;
  return [{
    name: `propagation at ${ROUTES} routes, p50`,
    measured: `${fixed(many)} ms`,
    target: `≤ ${TARGETS.propagation} ms`,
    outcome: outcomeOf(many <= TARGETS.propagation),
  }, {
    name: `propagation p50, ${ROUTES} against ${FEW} routes`,
    measured: `${fixed(many / few, 2)} ×`,
    target: `≤ ${TARGETS.propagationRatio} ×`,
    outcome: outcomeOf(many / few <= TARGETS.propagationRatio),
  }, {
    name: "propagation, answers other than 404 before and 200 after",
    measured: String(unexpected),
    target: "0",
    outcome: outcomeOf(unexpected === 0),
  }];
}

/** Edits, quiet, and all routes gone: one stack from beginning to end. */
function lifeVerdicts(idle: Memory, print: (line: string) => void): Promise<Verdict[]> {
  return withStack(ROUTES, async ({ stack, folder }) => {
    await served(ROUTES - 1);
    const cost = await measureEdits(stack, { folder, edits: EDITS });
    print(
      `  ${EDITS} edits: controller ${fixed(cost.controller)} ms, proxy ${fixed(cost.proxy)} ms`,
    );
    await sleep(QUIET);
    const full = await memoryOf(stack);
    print(
      `  ${ROUTES} routes: controller ${fixed(full.controller)} MB, proxy ${fixed(full.proxy)} MB`,
    );
    await removeRoutes(folder, ROUTES);
    await served(ROUTES - 1, 404);
    await sleep(QUIET);
    const after = await memoryOf(stack);
    print(`  deleted: controller ${fixed(after.controller)} MB, proxy ${fixed(after.proxy)} MB`);
    const below = (name: string, figure: { value: number; unit: string; limit: number }) => ({
      name,
      measured: `${fixed(figure.value, figure.unit === "×" ? 2 : 1)} ${figure.unit}`,
      target: `≤ ${figure.limit} ${figure.unit}`,
      outcome: outcomeOf(figure.value <= figure.limit),
    });
    const at = `at ${ROUTES} routes, mean of ${EDITS}`;
    return [
      below(`controller CPU per edit ${at}`, {
        value: cost.controller,
        unit: "ms",
        limit: TARGETS.controllerCpu,
      }),
      below(`proxy CPU per edit ${at}`, {
        value: cost.proxy,
        unit: "ms",
        limit: TARGETS.proxyCpu,
      }),
      below(`published per edit ${at}`, {
        value: cost.bytes,
        unit: "bytes",
        limit: TARGETS.bytes,
      }),
      below(`proxy memory at ${ROUTES} routes, above idle`, {
        value: full.proxy - idle.proxy,
        unit: "MB",
        limit: TARGETS.proxyMemory,
      }),
      below(`controller memory at ${ROUTES} routes`, {
        value: full.controller,
        unit: "MB",
        limit: TARGETS.controllerMemory,
      }),
      below("controller memory after all routes were deleted, against idle", {
        value: after.controller / idle.controller,
        unit: "×",
        limit: TARGETS.afterDelete,
      }),
      below("proxy memory after all routes were deleted, against idle", {
        value: after.proxy / idle.proxy,
        unit: "×",
        limit: TARGETS.afterDelete,
      }),
    ];
  });
}
