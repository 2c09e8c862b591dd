/**
 * Contestants measured in turn, row by row: CPU of each per answer, ratios taken pair by pair. What
 * a row asks is its own business.
 */
import type { Contestant } from "./cpu_contestants.ts";
import { cpuSeconds } from "./process.ts";
import { drift, fixed, median } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

/** Rounds of each row. */
const ROUNDS = 5;
/** Above this the machine moved too much for a verdict; measured again. */
const MAX_DRIFT = 0.15;
const OWN = "light-k8s-gateway";

type Peer = Exclude<Contestant["name"], typeof OWN>;

/** One line of a comparison. */
export interface ComparedRow {
  name: string;
  /** What one answer is called. */
  unit: "request" | "call";
  /** The most that it may cost in terms of each peer; with `null` it is only told. */
  limits: Readonly<Partial<Record<Peer, number | null>>>;
  /** Asks for a round and resolves to answers and seconds; rejects on an answer that is wrong. */
  load(contestant: Contestant): Promise<Loaded>;
  /** The same for a short time, before anything counts. */
  warmUp(contestant: Contestant): Promise<unknown>;
}

export interface Loaded {
  answers: number;
  seconds: number;
}

export interface CompareOptions {
  print: (line: string) => void;
  /** How often a row is measured at most, while the machine moves. */
  attempts: number;
}

interface Sample {
  /** Microseconds of CPU per answer. */
  cpu: number;
  /** Answers per second. */
  rate: number;
}

type Samples = Map<Contestant["name"], Sample[]>;

/** Measures every row, prints a table and returns the verdicts. */
export async function compareRows(
  rows: readonly ComparedRow[],
  contestants: readonly Contestant[],
  { print, attempts }: CompareOptions,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const row of rows) {
    for (const contestant of contestants) await row.warmUp(contestant);
    let taken = await rounds(row, contestants);
    for (let attempt = 1; attempt < attempts && moved(taken); attempt++) {
      print(`  ${row.name}: the machine moved too much, once more`);
      taken = await rounds(row, contestants);
    }
    printRow(row, taken, print);
    const own = taken.get(OWN) ?? [];
    for (const peer of ["envoy", "nginx"] as const) {
      const its = taken.get(peer) ?? [];
      const limit = row.limits[peer];
      if (limit === undefined) continue;
      if (limit === null) {
        print(`    ${fixed(ratioOf(own, its).ratio, 2)} × ${peer}, which is told only`);
      } else verdicts.push(verdict({ row, peer, limit, own, its }));
    }
  }
  return verdicts;
}

/** Rounds of one row, all contestants in turn. */
async function rounds(row: ComparedRow, contestants: readonly Contestant[]): Promise<Samples> {
  const taken: Samples = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of contestants) {
      taken.get(contestant.name)?.push(await measure(row, contestant));
    }
  }
  return taken;
}

async function measure(row: ComparedRow, contestant: Contestant): Promise<Sample> {
  const before = await cpuSeconds(contestant.pid);
  const { answers, seconds } = await row.load(contestant);
  const cpu = await cpuSeconds(contestant.pid) - before;
  return { cpu: cpu * 1e6 / answers, rate: answers / seconds };
}

function moved(taken: Samples): boolean {
  return [...taken].some(([name, list]) =>
    name !== OWN && drift(list.map(({ cpu }) => cpu)) > MAX_DRIFT
  );
}

function printRow(row: ComparedRow, taken: Samples, print: (line: string) => void): void {
  for (const [name, samples] of taken) {
    const cpus = samples.map(({ cpu }) => cpu);
    const rate = median(samples.map((sample) => sample.rate));
    const spread = `${fixed(Math.min(...cpus))}–${fixed(Math.max(...cpus))}`;
    print(
      `  ${row.name.padEnd(26)}  ${name.padEnd(17)} ${fixed(median(cpus)).padStart(6)}` +
        ` µs CPU/${row.unit} (${spread})  ${fixed(rate / 1000).padStart(5)}k ${row.unit}s/s`,
    );
  }
}

/** Ratios pair by pair, so that a machine whose speed drifts does not decide. */
function ratioOf(own: readonly Sample[], its: readonly Sample[]) {
  const ratios = own.map(({ cpu }, i) => cpu / (its[i]?.cpu ?? Infinity));
  return { ratio: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

interface Comparison {
  row: ComparedRow;
  peer: Peer;
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
    name: `CPU per ${row.unit} against ${peer}, ${row.name}`,
    measured: `${fixed(ratio, 2)} × (${spread}, ${own.length} rounds${noisy})`,
    target: `≤ ${limit} ×`,
    outcome: drifted > MAX_DRIFT ? "noisy" : ratio <= limit ? "pass" : "miss",
  };
}
