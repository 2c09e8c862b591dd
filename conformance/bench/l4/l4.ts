/**
 * Connections and datagrams that are passed on, against nginx's stream module: bytes and datagrams
 * per second of CPU of the proxy, datagrams lost, and what connections that wait take of its memory.
 */
import {
  runLoad,
  SERVER_NAME,
  startBackend,
  startNginx,
  startProxy,
  streamNginx,
} from "./contestants.ts";
import type { Contestant, Job } from "./contestants.ts";
import { measureIdle } from "./idle.ts";
import { cpuSeconds } from "../process.ts";
import { drift, fixed, median, outcomeOf } from "../statistics.ts";
import type { Verdict } from "../statistics.ts";

const ROUNDS = 5;
const SECONDS = 2;
/** How often a row is measured at most. */
const ATTEMPTS = 3;
const MAX_DRIFT = 0.15;
const CONNECTIONS = 4;
const FLOWS = 64;
const DATAGRAM = 1000;
/** Datagrams a second that nobody should lose, and the share that may be lost. */
const PACE = 2000;
const MAX_LOST = 0.0001;

interface Row {
  name: string;
  /** What is counted per second of CPU, and how many make one of the unit. */
  unit: { name: string; of: number };
  /** The least in terms of nginx. */
  least: number;
  job: (contestant: Contestant) => Job;
}

const bytes = { name: "MB", of: 1e6 };

function streamRow(load: "upload" | "download", over: "tcp" | "tls"): Row {
  const name = over === "tcp" ? "TCP" : "TLS passthrough";
  return {
    name: `${name}, ${load} in writes of 64 kB`,
    unit: bytes,
    least: 0.5,
    job: ({ port }) => ({
      load,
      port: port[over],
      count: CONNECTIONS,
      seconds: SECONDS,
      ...(over === "tls" ? { serverName: SERVER_NAME } : {}),
    }),
  };
}

const ROWS: readonly Row[] = [
  streamRow("upload", "tcp"),
  streamRow("download", "tcp"),
  streamRow("upload", "tls"),
  streamRow("download", "tls"),
  {
    name: `UDP, datagrams of ${DATAGRAM} B answered, ${FLOWS} flows`,
    unit: { name: "k answers", of: 1e3 },
    least: 0.25,
    job: ({ port }) => ({
      load: "datagrams",
      port: port.udp,
      count: FLOWS,
      seconds: SECONDS,
      size: DATAGRAM,
    }),
  },
];

/** Runs all parts; returns the verdicts. */
export async function benchL4(print: (line: string) => void): Promise<Verdict[]> {
  const nginx = await streamNginx(print);
  print(`  deno ${Deno.version.deno}, ${nginx.version}`);
  const backend = await startBackend();
  try {
    // Each kind with a proxy that carried nothing before.
    const verdicts = [await measureIdle("TCP", print), await measureIdle("TLS passthrough", print)];
    const contestants: Contestant[] = [];
    try {
      contestants.push(await startNginx(nginx));
      contestants.push(await startProxy());
      for (const row of ROWS) verdicts.push(await compare(row, contestants, print));
      verdicts.push(await loss(contestants, print));
    } finally {
      for (const contestant of contestants) await contestant.stop();
    }
    return verdicts;
  } finally {
    await backend.stop();
  }
}

type Samples = Map<Contestant["name"], number[]>;

const of = (samples: Samples, name: Contestant["name"]) => samples.get(name) ?? [];

/** Units per second of CPU of the proxy. */
async function measure({ unit, job }: Row, contestant: Contestant): Promise<number> {
  const before = await cpuSeconds(contestant.pid);
  const { bytes, received } = await runLoad(job(contestant));
  const spent = await cpuSeconds(contestant.pid) - before;
  return (bytes ?? received ?? NaN) / unit.of / spent;
}

async function rounds(row: Row, contestants: readonly Contestant[]): Promise<Samples> {
  const samples: Samples = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of contestants) {
      samples.get(contestant.name)?.push(await measure(row, contestant));
    }
  }
  return samples;
}

async function compare(
  row: Row,
  contestants: readonly Contestant[],
  print: (line: string) => void,
): Promise<Verdict> {
  for (const contestant of contestants) await measure(row, contestant);
  let samples = await rounds(row, contestants);
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    if (drift(of(samples, "nginx")) <= MAX_DRIFT) break;
    print(`  ${row.name}: the machine moved too much, once more`);
    samples = await rounds(row, contestants);
  }
  for (const [name, taken] of samples) {
    const spread = `${fixed(Math.min(...taken))}–${fixed(Math.max(...taken))}`;
    const figure = `${fixed(median(taken))} ${row.unit.name}/CPU second (${spread})`;
    print(`  ${row.name.padEnd(50)} ${name.padEnd(17)} ${figure}`);
  }
  const [own, its] = [of(samples, "light-k8s-gateway"), of(samples, "nginx")];
  const ratios = own.map((value, round) => value / (its[round] ?? Infinity));
  const ratio = median(ratios);
  const drifted = drift(its);
  const noisy = drifted > MAX_DRIFT ? `, nginx moved ${fixed(drifted * 100, 0)} %` : "";
  const spread = `${fixed(Math.min(...ratios), 2)}–${fixed(Math.max(...ratios), 2)}`;
  return {
    name: `per CPU second against nginx, ${row.name}`,
    measured: `${fixed(ratio, 2)} × (${spread}, ${ratios.length} rounds${noisy})`,
    target: `≥ ${row.least} ×`,
    outcome: noisy === "" ? outcomeOf(ratio >= row.least) : "noisy",
  };
}

type Losses = Map<Contestant["name"], { sent: number; lost: number }>;

/** Datagrams at a pace that both can keep, in turn. */
async function paced(contestants: readonly Contestant[]): Promise<Losses> {
  const losses: Losses = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, port } of contestants) {
      const { sent = 0, received = 0 } = await runLoad({
        load: "paced",
        port: port.udp,
        count: FLOWS,
        seconds: 2 * SECONDS,
        size: DATAGRAM,
        rate: PACE,
      });
      const sum = losses.get(name) ?? { sent: 0, lost: 0 };
      losses.set(name, { sent: sum.sent + sent, lost: sum.lost + sent - received });
    }
  }
  return losses;
}

/** What nginx loses says that the machine stood still for longer than a socket's buffer lasts. */
async function loss(
  contestants: readonly Contestant[],
  print: (line: string) => void,
): Promise<Verdict> {
  const share = (losses: Losses, name: Contestant["name"]) => {
    const { sent, lost } = losses.get(name) ?? { sent: NaN, lost: NaN };
    const text = `${lost} of ${sent} (${fixed(100 * lost / sent, 3)} %)`;
    return { text, within: lost <= MAX_LOST * sent };
  };
  let losses = await paced(contestants);
  for (let attempt = 1; attempt < ATTEMPTS && !share(losses, "nginx").within; attempt++) {
    print(`  UDP at a pace: nginx lost ${share(losses, "nginx").text}, once more`);
    losses = await paced(contestants);
  }
  for (const name of losses.keys()) {
    print(`  ${"UDP, lost at a pace".padEnd(50)} ${name.padEnd(17)} ${share(losses, name).text}`);
  }
  const [its, own] = [share(losses, "nginx"), share(losses, "light-k8s-gateway")];
  return {
    name: `UDP, ${PACE} datagrams of ${DATAGRAM} B a second over ${FLOWS} flows, lost`,
    measured: own.text + (its.within ? "" : `, nginx lost ${its.text}`),
    target: `≤ ${100 * MAX_LOST} %`,
    outcome: own.within ? "pass" : its.within ? "miss" : "noisy",
  };
}
