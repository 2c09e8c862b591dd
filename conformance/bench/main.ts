/**
 * `deno task bench [--full] [part…] [--minutes N]`: measures, then a verdict per target. Without
 * parts: the short ones. With `--full`: every part at full length, but for those that run for
 * minutes or need a cluster, which are run by their names alone.
 */
import { benchCluster } from "./cluster.ts";
import { benchClusterScale } from "./cluster_scale.ts";
import { benchCpu } from "./cpu.ts";
import { benchEdits } from "./edits.ts";
import { benchGrpc } from "./grpc/grpc.ts";
import { benchGrpcStreams } from "./grpc/streams.ts";
import { benchL4 } from "./l4/l4.ts";
import { benchPropagation } from "./propagation.ts";
import { stopWithSignals } from "./process.ts";
import { benchScale } from "./scale.ts";
import { benchSoak } from "./soak.ts";
import { formatVerdict } from "./statistics.ts";
import { benchWorkers } from "./workers.ts";
import type { Verdict } from "./statistics.ts";

type Print = (line: string) => void;

interface Part {
  /** Runs when no part is named: always, with `--full`, or never. */
  unnamed: "always" | "full" | "never";
  run: (print: Print, options: Options) => Promise<Verdict[]>;
}

interface Options {
  full: boolean;
  /** Of what runs for as long as it is told; absent = each its own. */
  minutes?: number;
}

const PARTS: Readonly<Record<string, Part>> = {
  cpu: { unnamed: "always", run: (print, { full }) => benchCpu(print, { full }) },
  grpc: { unnamed: "full", run: (print, { full }) => benchGrpc(print, { full }) },
  propagation: { unnamed: "always", run: (print) => benchPropagation(print) },
  edits: { unnamed: "always", run: (print, { full }) => benchEdits(print, { full }) },
  scale: { unnamed: "full", run: (print) => benchScale(print) },
  workers: { unnamed: "full", run: (print) => benchWorkers(print) },
  l4: { unnamed: "full", run: (print) => benchL4(print) },
  cluster: { unnamed: "never", run: (print) => benchCluster(print, { kubeconfig: kubeconfig() }) },
  "cluster-scale": {
    unnamed: "never",
    run: (print) => benchClusterScale(print, { kubeconfig: kubeconfig() }),
  },
  soak: { unnamed: "never", run: (print, { minutes = 30 }) => benchSoak(print, { minutes }) },
  "grpc-streams": {
    unnamed: "never",
    run: (print, { minutes = 10 }) => benchGrpcStreams(print, { minutes }),
  },
};

/** The cluster of the environment: one that the gateway was deployed to. */
function kubeconfig(): string {
  return Deno.env.get("KUBECONFIG") ?? refuse("cluster: KUBECONFIG names no cluster");
}

function refuse(message: string): never {
  console.error(message);
  Deno.exit(2);
}

function parseArguments(args: readonly string[]): { parts: string[]; options: Options } {
  const parts: string[] = [];
  const options: Options = { full: false };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--full") options.full = true;
    else if (arg === "--minutes") {
      options.minutes = Number(args[++i]);
      if (!(options.minutes > 0)) refuse("--minutes: expected a number above 0");
    } else if (Object.hasOwn(PARTS, arg)) parts.push(arg);
    else refuse(`there is no bench ${arg}; there are ${Object.keys(PARTS).join(", ")}`);
  }
  if (parts.length > 0) return { parts, options };
  const asked = (part: Part) =>
    part.unnamed === "always" || (options.full && part.unnamed === "full");
  return {
    parts: Object.entries(PARTS).filter(([, part]) => asked(part)).map(([name]) => name),
    options,
  };
}

const { parts, options } = parseArguments(Deno.args);
stopWithSignals();
const verdicts: Verdict[] = [];
for (const name of parts) {
  console.log(name);
  verdicts.push(...await PARTS[name]?.run(console.log, options) ?? []);
}
console.log("");
for (const verdict of verdicts) console.log(formatVerdict(verdict));
Deno.exit(verdicts.every(({ outcome }) => outcome === "pass") ? 0 : 1);
