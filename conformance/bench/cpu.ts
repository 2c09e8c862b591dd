/**
 * CPU per request of the proxy process against Envoy and nginx, in one run: the same thousand
 * routes with one header filter, the median route asked, upstream keep-alive, one core each. The
 * client and the backend share the other core. CPU comes from the kernel's accounting.
 */
import { startContest, versions } from "./cpu_contestants.ts";
import type { Contestant } from "./cpu_contestants.ts";
import { load, nameOf, openClient, ROWS } from "./cpu_rows.ts";
import type { Protocol, Row } from "./cpu_rows.ts";
import { HOST } from "./manifests.ts";
import { until } from "./probe.ts";
import { cpuSeconds } from "./process.ts";
import { drift, fixed, median } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";
import { getTools } from "./tools.ts";
import type { Tools } from "./tools.ts";

const ROUTES = 1000;
/** Rounds of each row. */
const ROUNDS = 5;
/** Seconds of a round, and how often a row is measured at most. */
const SHORT = { seconds: 2, attempts: 2 };
const FULL = { seconds: 3, attempts: 3 };
/** Above this the machine moved too much for a verdict; measured again. */
const MAX_DRIFT = 0.15;
const WARM_UP = 1;

interface Sample {
  /** Microseconds of CPU per request. */
  cpu: number;
  rps: number;
}

type Samples = Map<Contestant["name"], Sample[]>;

interface Run {
  tools: Tools;
  print: (line: string) => void;
  seconds: number;
  attempts: number;
}

/** Runs the comparison and prints a table; returns the verdicts. */
export async function benchCpu(
  print: (line: string) => void,
  { full }: { full: boolean },
): Promise<Verdict[]> {
  const tools = await getTools(print);
  for (const version of await versions(tools)) print(`  ${version}`);
  const sizes = [...new Set(ROWS.map(({ size }) => size))];
  const contest = await startContest(tools, { routes: ROUTES, sizes });
  try {
    const { contestants, authority } = contest;
    for (const { protocol, size } of ROWS) {
      for (const contestant of contestants) {
        await checkAnswers(contestant, { protocol, size, authority });
      }
    }
    return await compare(contestants, { tools, print, ...(full ? FULL : SHORT) });
  } finally {
    await contest.stop();
  }
}

const pathOf = (size: number) => `/r${ROUTES / 2}/${size}`;

/** Correctness first: the body, the backend's header, and the header that the filter set. */
async function checkAnswers(
  { name, port }: Contestant,
  { protocol, size, authority }: { protocol: Protocol; size: number; authority: string },
): Promise<void> {
  const client = openClient(protocol, { port, authority });
  try {
    const path = pathOf(size);
    await until(client, { path, host: HOST, status: 200 });
    const { head, body } = await client.get(path, HOST);
    const right = body === "x".repeat(size) && /\r\nx-backend: bench/i.test(head) &&
      new RegExp(`\\r\\nx-seen-route: r${ROUTES / 2}\\b`, "i").test(head);
    if (!right) throw new Error(`${name}, ${protocol}: answers ${path} wrongly: ${head}`);
    const { status } = await client.get("/nothing", HOST);
    if (status !== 404) throw new Error(`${name}, ${protocol}: answers /nothing with ${status}`);
  } finally {
    client.close();
  }
}

async function measure(row: Row, contestant: Contestant, run: Run): Promise<Sample> {
  const { tools, seconds } = run;
  const before = await cpuSeconds(contestant.pid);
  const requests = await load(row, contestant, { tools, seconds, path: pathOf(row.size) });
  const cpu = await cpuSeconds(contestant.pid) - before;
  return { cpu: cpu * 1e6 / requests, rps: requests / seconds };
}

/** Rounds of one row, all contestants in turn. */
async function rounds(row: Row, contestants: readonly Contestant[], run: Run): Promise<Samples> {
  const taken: Samples = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of contestants) {
      taken.get(contestant.name)?.push(await measure(row, contestant, run));
    }
  }
  return taken;
}

function moved(taken: Samples): boolean {
  return [...taken].some(([name, list]) =>
    name !== "light-k8s-gateway" && drift(list.map(({ cpu }) => cpu)) > MAX_DRIFT
  );
}

async function compare(contestants: readonly Contestant[], run: Run): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const row of ROWS) {
    for (const contestant of contestants) {
      await measure(row, contestant, { ...run, seconds: WARM_UP });
    }
    let taken = await rounds(row, contestants, run);
    for (let attempt = 1; attempt < run.attempts && moved(taken); attempt++) {
      run.print(`  ${nameOf(row)}: the machine moved too much, once more`);
      taken = await rounds(row, contestants, run);
    }
    printRow(row, taken, run.print);
    const own = taken.get("light-k8s-gateway") ?? [];
    for (const peer of ["envoy", "nginx"] as const) {
      const its = taken.get(peer) ?? [];
      const limit = row.limits[peer];
      if (limit === undefined) {
        run.print(`    ${fixed(ratioOf(own, its).ratio, 2)} × ${peer}, which is told only`);
      } else verdicts.push(verdict({ row, peer, limit, own, its }));
    }
  }
  return verdicts;
}

function printRow(row: Row, taken: Samples, print: (line: string) => void): void {
  for (const [name, samples] of taken) {
    const cpus = samples.map(({ cpu }) => cpu);
    const rps = median(samples.map((sample) => sample.rps));
    const spread = `${fixed(Math.min(...cpus))}–${fixed(Math.max(...cpus))}`;
    print(
      `  ${nameOf(row).padEnd(26)}  ${name.padEnd(17)} ${fixed(median(cpus)).padStart(6)}` +
        ` µs CPU/request (${spread})  ${fixed(rps / 1000).padStart(5)}k requests/s`,
    );
  }
}

/** Ratios pair by pair, so that a machine whose speed drifts does not decide. */
function ratioOf(own: readonly Sample[], its: readonly Sample[]) {
  const ratios = own.map(({ cpu }, i) => cpu / (its[i]?.cpu ?? Infinity));
  return { ratio: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

interface Comparison {
  row: Row;
  peer: string;
  limit: number;
  own: readonly Sample[];
  its: readonly Sample[];
}

function verdict({ row, peer, limit, own, its }: Comparison): Verdict {
  const { ratio, least, most } = ratioOf(own, its);
  const drifted = drift(its.map(({ cpu }) => cpu));
  const noisy = drifted > MAX_DRIFT ? `, ${peer} moved ${fixed(drifted * 100, 0)} %` : "";
  const spread = `${fixed(least, 2)}–${fixed(most, 2)}`;
  return {
    name: `CPU per request against ${peer}, ${nameOf(row)}`,
    measured: `${fixed(ratio, 2)} × (${spread}, ${own.length} rounds${noisy})`,
    target: `≤ ${limit} ×`,
    outcome: drifted > MAX_DRIFT ? "noisy" : ratio <= limit ? "pass" : "miss",
  };
}
