/**
 * CPU per request of the proxy process against Envoy and nginx, in one run: the same thousand
 * routes with one header filter, the median route asked, upstream keep-alive, one core each. The
 * client and the backend share the other core. CPU comes from the kernel's accounting.
 */
import { startStack } from "../../deploy/standalone/stack.ts";
import { HOST, LOCAL_PORT, writeManifests } from "./manifests.ts";
import { backendConfig, envoyConfig, nginxConfig } from "./peers/config.ts";
import { Probe, until } from "./probe.ts";
import { cpuSeconds, pin, spawn, waitForPort } from "./process.ts";
import type { Spawned } from "./process.ts";
import { drift, fixed, median } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";
import { getTools, run } from "./tools.ts";
import type { Tools } from "./tools.ts";

const ROUTES = 1000;
const SIZES = [100, 1024, 16_384];
const CONNECTIONS = 64;
const ROUNDS = 5;
const SECONDS = 3;
/** Above this the machine moved too much for a verdict; measured again, so many times. */
const MAX_DRIFT = 0.15;
const ATTEMPTS = 3;
const PORTS = { backend: 18_201, nginx: 18_202, envoy: 18_203 };
const CLIENT_CORE = 0;
const PROXY_CORE = 1;

interface Contestant {
  name: "light-k8s-gateway" | "envoy" | "nginx";
  port: number;
  pid: number;
}

interface Sample {
  /** Microseconds of CPU per request. */
  cpu: number;
  rps: number;
}

/** Runs the comparison and prints a table; returns the verdicts. */
export async function benchCpu(print: (line: string) => void): Promise<Verdict[]> {
  const tools = await getTools(print);
  for (const version of await versions(tools)) print(`  ${version}`);
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const started: { stop(): Promise<void> }[] = [];
  try {
    const manifests = `${folder}/manifests`;
    await Deno.mkdir(manifests);
    await writeManifests(manifests, { routes: ROUTES, backends: { backend: PORTS.backend } });
    const backend = await startBackend(tools, `${folder}/backend`);
    started.push(backend);
    await waitForPort(PORTS.backend, backend);
    const peers = await startPeers(tools, folder, started);
    const stack = await startStack({ manifests: [manifests], env: Deno.env });
    started.push(stack);
    await pin(stack.controller.current.pid, CLIENT_CORE);
    const proxy = stack.proxies[0]?.current.pid ?? 0;
    await pin(proxy, PROXY_CORE);
    const contestants: Contestant[] = [
      { name: "light-k8s-gateway", port: LOCAL_PORT, pid: proxy },
      ...peers,
    ];
    for (const contestant of contestants) await checkAnswers(contestant);
    return await compare(contestants, { tools, print });
  } finally {
    for (const process of started.reverse()) await process.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is compared, for whoever reads the figures later. */
async function versions(tools: Tools): Promise<string[]> {
  const envoy = /version: \S+?\/(\d+\.\d+\.\d+)/.exec(await run(tools.envoy, ["--version"]));
  // nginx prints its version on standard error.
  const nginx = await new Deno.Command(tools.nginx, { args: ["-v"] }).output();
  return [
    `deno ${Deno.version.deno}`,
    `envoy ${envoy?.[1] ?? "unknown"}`,
    new TextDecoder().decode(nginx.stderr).trim().replace("nginx version: ", ""),
  ];
}

async function startBackend(tools: Tools, folder: string): Promise<Spawned> {
  await Deno.mkdir(`${folder}/www`, { recursive: true });
  for (const size of SIZES) await Deno.writeTextFile(`${folder}/www/${size}`, "x".repeat(size));
  // Its worker may run as another user.
  for (const part of [folder, `${folder}/www`]) await Deno.chmod(part, 0o755);
  const config = backendConfig(PORTS.backend);
  return await startNginx(tools, { folder, config, core: CLIENT_CORE });
}

async function startNginx(
  tools: Tools,
  options: { folder: string; config: string; core: number },
): Promise<Spawned> {
  await Deno.mkdir(options.folder, { recursive: true });
  await Deno.writeTextFile(`${options.folder}/nginx.conf`, options.config);
  return spawn(tools.nginx, ["-p", options.folder, "-c", "nginx.conf"], {
    core: options.core,
    env: { LD_LIBRARY_PATH: tools.libraryPath },
  });
}

async function startPeers(
  tools: Tools,
  folder: string,
  started: { stop(): Promise<void> }[],
): Promise<Contestant[]> {
  const common = { routes: ROUTES, backendPort: PORTS.backend };
  const nginx = await startNginx(tools, {
    folder: `${folder}/nginx`,
    config: nginxConfig({ ...common, listenPort: PORTS.nginx }),
    core: PROXY_CORE,
  });
  started.push(nginx);
  await Deno.writeTextFile(
    `${folder}/envoy.yaml`,
    envoyConfig({ ...common, listenPort: PORTS.envoy }),
  );
  const envoy = spawn(tools.envoy, [
    "-c",
    `${folder}/envoy.yaml`,
    "--concurrency",
    "1",
    "--log-level",
    "error",
    "--disable-hot-restart",
  ], { core: PROXY_CORE });
  started.push(envoy);
  await waitForPort(PORTS.nginx, nginx);
  await waitForPort(PORTS.envoy, envoy);
  return [
    { name: "envoy", port: PORTS.envoy, pid: envoy.pid },
    { name: "nginx", port: PORTS.nginx, pid: nginx.pid },
  ];
}

/** Correctness first: the body, the backend's header, and the header that the filter set. */
async function checkAnswers({ name, port }: Contestant): Promise<void> {
  const probe = new Probe("127.0.0.1", port);
  try {
    for (const size of SIZES) {
      const path = `/r${ROUTES / 2}/${size}`;
      await until(probe, { path, host: HOST, status: 200 });
      const { head, body } = await probe.get(path, HOST);
      const right = body === "x".repeat(size) && /\r\nx-backend: bench/i.test(head) &&
        new RegExp(`\\r\\nx-seen-route: r${ROUTES / 2}\\b`, "i").test(head);
      if (!right) throw new Error(`${name} answers ${path} wrongly: ${head}`);
    }
    const other = await probe.get("/nothing", HOST);
    if (other.status !== 404) throw new Error(`${name} answers /nothing with ${other.status}`);
  } finally {
    probe.close();
  }
}

async function measure(contestant: Contestant, size: number, tools: Tools): Promise<Sample> {
  const before = await cpuSeconds(contestant.pid);
  const output = await run("taskset", [
    "-c",
    String(CLIENT_CORE),
    tools.wrk,
    "-t1",
    `-c${CONNECTIONS}`,
    `-d${SECONDS}s`,
    "-H",
    `Host: ${HOST}`,
    `http://127.0.0.1:${contestant.port}/r${ROUTES / 2}/${size}`,
  ], { env: { LD_LIBRARY_PATH: tools.libraryPath } });
  const cpu = await cpuSeconds(contestant.pid) - before;
  const requests = Number(/(\d+) requests in/.exec(output)?.[1] ?? 0);
  if (/Non-2xx|Socket errors/.test(output) || requests === 0) {
    throw new Error(`${contestant.name}: unexpected answers:\n${output}`);
  }
  return { cpu: cpu * 1e6 / requests, rps: requests / SECONDS };
}

/** Rounds of one size, all contestants in turn. */
async function rounds(
  contestants: readonly Contestant[],
  size: number,
  tools: Tools,
): Promise<Map<string, Sample[]>> {
  const taken = new Map(contestants.map(({ name }) => [name as string, [] as Sample[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of contestants) {
      taken.get(contestant.name)?.push(await measure(contestant, size, tools));
    }
  }
  return taken;
}

function peersOf(taken: ReadonlyMap<string, Sample[]>): Sample[][] {
  return [...taken].flatMap(([name, list]) => name === "light-k8s-gateway" ? [] : [list]);
}

async function compare(
  contestants: readonly Contestant[],
  { tools, print }: { tools: Tools; print: (line: string) => void },
): Promise<Verdict[]> {
  const samples = new Map<string, Sample[]>();
  const key = (name: string, size: number) => `${name} ${size}`;
  for (const contestant of contestants) {
    for (const size of SIZES) await measure(contestant, size, tools);
  }
  for (const size of SIZES) {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const taken = await rounds(contestants, size, tools);
      for (const [name, list] of taken) samples.set(key(name, size), list);
      if (peersOf(taken).every((peer) => drift(peer.map(({ cpu }) => cpu)) <= MAX_DRIFT)) break;
      if (attempt < ATTEMPTS) print(`  ${size} B: the machine moved too much, once more`);
    }
  }
  const of = (name: string, size: number) => samples.get(key(name, size)) ?? [];
  const verdicts: Verdict[] = [];
  for (const size of SIZES) {
    for (const { name } of contestants) {
      const cpus = of(name, size).map(({ cpu }) => cpu);
      const rps = median(of(name, size).map((sample) => sample.rps));
      const spread = `${fixed(Math.min(...cpus))}–${fixed(Math.max(...cpus))}`;
      const figure = fixed(median(cpus)).padStart(6);
      print(
        `  ${String(size).padStart(6)} B  ${name.padEnd(18)} ${figure} µs CPU/request (${spread})` +
          `  ${fixed(rps / 1000).padStart(5)}k requests/s`,
      );
    }
    for (const [peer, limit] of [["envoy", 0.85], ["nginx", 2.6]] as const) {
      verdicts.push(
        verdict({ size, peer, limit, own: of("light-k8s-gateway", size), its: of(peer, size) }),
      );
    }
  }
  return verdicts;
}

interface Comparison {
  size: number;
  peer: string;
  limit: number;
  own: readonly Sample[];
  its: readonly Sample[];
}

/** Ratios pair by pair, so that a machine whose speed drifts does not decide. */
function verdict({ size, peer, limit, own, its }: Comparison): Verdict {
  const ratios = own.map(({ cpu }, i) => cpu / (its[i]?.cpu ?? Infinity));
  const ratio = median(ratios);
  const moved = drift(its.map(({ cpu }) => cpu));
  const noisy = moved > MAX_DRIFT ? `, ${peer} moved ${fixed(moved * 100, 0)} %` : "";
  const spread = `${fixed(Math.min(...ratios), 2)}–${fixed(Math.max(...ratios), 2)}`;
  return {
    name: `CPU per request against ${peer}, ${size} B`,
    measured: `${fixed(ratio, 2)} × (${spread}, ${own.length} rounds${noisy})`,
    target: `≤ ${limit} ×`,
    outcome: moved > MAX_DRIFT ? "noisy" : ratio <= limit ? "pass" : "miss",
  };
}
