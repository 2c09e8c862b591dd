/**
 * Two workers against one. With the load beside it on two cores throughput would say nothing, so
 * capacity is computed: requests per second of CPU of the busiest thread, at the same moderate rate
 * over many connections. It is the rate at which that thread would fill a core of its own, so both an
 * uneven spread of connections and a higher cost per request lower it.
 */
import { runCommand } from "../../shared/lib/run_command.ts";
import { startStack } from "../../deploy/standalone/stack.ts";
import type { Stack } from "../../deploy/standalone/stack.ts";
import { loadSettings } from "../../shared/config/load.ts";
import { HOST, LOCAL_PORT, writeManifests } from "./manifests.ts";
import { Probe, until } from "./probe.ts";
import { cpuSeconds, threadCpuSeconds } from "./process.ts";
import { drift, fixed, median, outcomeOf } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";
import { getTools } from "./tools.ts";
import type { Tools } from "./tools.ts";

const ROUNDS = 5;
const SECONDS = 5;
const WARM_UP = 2;
const CONNECTIONS = 256;
/** Requests per second of each connection. */
const RATE = 25;
const BACKEND_PORT = 18_261;
const LOAD_CORE = 0;
const TARGET = 1.7;
const MAX_DRIFT = 0.15;

interface Contestant {
  workers: number;
  address: string;
  stack: Stack;
}

interface Sample {
  /** Requests per second of CPU of the busiest thread. */
  capacity: number;
  /** CPU of the busiest thread, as a share of all threads that count. */
  share: number;
  /** Microseconds of CPU per request, all threads. */
  cpu: number;
}

/** Measures both in turn; returns the verdict. */
export async function benchWorkers(print: (line: string) => void): Promise<Verdict[]> {
  const tools = await getTools(print);
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const backend = Deno.serve(
    { hostname: "127.0.0.1", port: BACKEND_PORT, onListen: () => {} },
    () => new Response("workers"),
  );
  const contestants: Contestant[] = [];
  try {
    await writeManifests(folder, { routes: 100, backends: { backend: BACKEND_PORT } });
    for (const workers of [1, 2]) contestants.push(await start(folder, workers));
    for (const contestant of contestants) await measure(contestant, { tools, seconds: WARM_UP });
    const taken = new Map(contestants.map(({ workers }) => [workers, [] as Sample[]]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const contestant of contestants) {
        const sample = await measure(contestant, { tools, seconds: SECONDS });
        taken.get(contestant.workers)?.push(sample);
      }
    }
    return judge(taken, print);
  } finally {
    for (const { stack } of contestants) await stack.stop();
    await backend.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Each on an address of its own, so that both can be asked in turn. */
async function start(folder: string, workers: number): Promise<Contestant> {
  const address = `127.0.0.${10 + workers}`;
  const settings = loadSettings({ env: { get: () => undefined } });
  const stack = await startStack({
    manifests: [folder],
    env: Deno.env,
    settings: { ...settings, workers, server: { ...settings.server, ip: address } },
  });
  const probe = new Probe(address, LOCAL_PORT);
  await until(probe, { path: "/r50", host: HOST, status: 200 });
  probe.close();
  return { workers, address, stack };
}

async function measure(
  { workers, address, stack }: Contestant,
  { tools, seconds }: { tools: Tools; seconds: number },
): Promise<Sample> {
  const pid = stack.proxies[0]?.current.pid ?? 0;
  const [before, whole] = [await threadCpuSeconds(pid), await cpuSeconds(pid)];
  const { stdout: output } = await runCommand([
    "taskset",
    "-c",
    String(LOAD_CORE),
    tools.h2load.path,
    "--h1",
    "-t1",
    `-c${CONNECTIONS}`,
    `--rps=${RATE}`,
    `-D${seconds}`,
    `--connect-to=${address}:${LOCAL_PORT}`,
    `http://${HOST}/r50`,
  ], { env: tools.h2load.env });
  const [after, wholeAfter] = [await threadCpuSeconds(pid), await cpuSeconds(pid)];
  const requests = Number(/status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx/.exec(output)?.[1] ?? 0);
  if (requests === 0) throw new Error(`${workers} workers: unexpected answers:\n${output}`);
  const spent = [...after].map(([thread, cpu]) => cpu - (before.get(thread) ?? 0));
  const busiest = Math.max(...spent);
  // The threads that carry traffic; the others collect garbage or compile.
  const carrying = spent.sort((a, b) => b - a).slice(0, workers);
  return {
    capacity: requests / busiest,
    share: busiest / carrying.reduce((sum, cpu) => sum + cpu, 0),
    cpu: (wholeAfter - whole) * 1e6 / requests,
  };
}

function judge(taken: ReadonlyMap<number, Sample[]>, print: (line: string) => void): Verdict[] {
  const of = (workers: number, key: keyof Sample) =>
    (taken.get(workers) ?? []).map((sample) => sample[key]);
  for (const workers of taken.keys()) {
    print(
      `  ${workers} ${workers === 1 ? "worker " : "workers"}` +
        `  ${fixed(median(of(workers, "capacity")) / 1000)}k requests per CPU second of the` +
        ` busiest thread, which has ${
          fixed(100 * median(of(workers, "share")), 0)
        } % of the work;` +
        ` ${fixed(median(of(workers, "cpu")))} µs CPU/request in all`,
    );
  }
  const one = of(1, "capacity");
  const ratios = of(2, "capacity").map((capacity, round) => capacity / (one[round] ?? Infinity));
  const ratio = median(ratios);
  const noisy = drift(one) > MAX_DRIFT;
  const spread = `${fixed(Math.min(...ratios), 2)}–${fixed(Math.max(...ratios), 2)}`;
  return [{
    name: "capacity of two workers against one (requests per CPU second of the busiest thread)",
    measured: `${fixed(ratio, 2)} × (${spread}, ${ratios.length} rounds)`,
    target: `≥ ${TARGET} ×`,
    outcome: noisy ? "noisy" : outcomeOf(ratio >= TARGET),
  }];
}
