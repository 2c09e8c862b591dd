/**
 * What `bench l4` compares, each on the same core: the proxy and nginx's stream module, with a port of
 * TCP, one of TLS passed through by server name and one of UDP, before one backend on the other core.
 */
import { startStack } from "../../../deploy/standalone/stack.ts";
import { loadSettings } from "../../../shared/config/load.ts";
import { runCommand } from "../../../shared/lib/run_command.ts";
import { unpackedProgram } from "../../programs/debian.ts";
import type { Program } from "../../programs/program.ts";
import { l4Manifests } from "./manifests.ts";
import type { L4Ports } from "./manifests.ts";
import { streamConfig } from "../peers/nginx_stream.ts";
import { pin, spawn, waitForPort } from "../process.ts";

export const SERVER_NAME = "bench.example.com";
const LOAD_CORE = 0;
const PROXY_CORE = 1;
const BACKEND_PORT = 18_310;
const OWN_PORTS = { tcp: 18_311, tls: 18_312, udp: 18_313 };
const NGINX_PORTS = { tcp: 18_314, tls: 18_315, udp: 18_316 };
/** Idle connections to the one backend: more than it should have by default. */
const MAX_BACKEND_CONNECTIONS = 16_384;

interface Started {
  stop(): Promise<void>;
}

export interface Contestant extends Started {
  name: "light-k8s-gateway" | "nginx";
  port: L4Ports;
  pid: number;
}

/** nginx with the stream module that was built for it. */
export interface StreamNginx {
  program: Program;
  module: string;
  version: string;
}

/** From Debian's package: another nginx may be installed, and a module fits its own version alone. */
export async function streamNginx(onProgress: (line: string) => void): Promise<StreamNginx> {
  const options = { env: Deno.env, onProgress, package: "libnginx-mod-stream" };
  const program = await unpackedProgram("nginx", { ...options, file: "usr/sbin/nginx" });
  const file = "usr/lib/nginx/modules/ngx_stream_module.so";
  const { path: module } = await unpackedProgram("nginx", { ...options, file });
  const said = await runCommand([program.path, "-v"], { env: program.env });
  // On standard error.
  return { program, module, version: said.stderr.trim().replace("nginx version: ", "") };
}

/** The backend of both; accepts when this resolves. */
export async function startBackend(): Promise<Started> {
  const script = new URL("backend.ts", import.meta.url).pathname;
  const args = ["run", "--quiet", "--no-check", "--allow-net", script, `${BACKEND_PORT}`];
  const backend = spawn(Deno.execPath(), args, { core: LOAD_CORE });
  await waitForPort(BACKEND_PORT, backend);
  return backend;
}

/** The proxy of a stack of its own; accepts when this resolves. */
export async function startProxy(): Promise<Contestant> {
  const settings = loadSettings({ env: { get: () => undefined } });
  const limits = { ...settings.limits, maxBackendConnections: MAX_BACKEND_CONNECTIONS };
  const stack = await startStack({
    manifests: [],
    inlineManifests: l4Manifests({
      port: OWN_PORTS,
      backendPort: BACKEND_PORT,
      serverName: SERVER_NAME,
    }),
    env: Deno.env,
    settings: { ...settings, limits },
  });
  const pid = stack.proxies[0]?.current.pid ?? 0;
  await pin(stack.controller.current.pid, LOAD_CORE);
  await pin(pid, PROXY_CORE);
  for (const port of [OWN_PORTS.tcp, OWN_PORTS.tls]) await waitForPort(port);
  return { name: "light-k8s-gateway", port: OWN_PORTS, pid, stop: () => stack.stop() };
}

/** nginx with one worker; accepts when this resolves. */
export async function startNginx({ program, module }: StreamNginx): Promise<Contestant> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const config = streamConfig({
    module,
    port: NGINX_PORTS,
    backendPort: BACKEND_PORT,
    serverName: SERVER_NAME,
  });
  await Deno.writeTextFile(`${folder}/nginx.conf`, config);
  const nginx = spawn(program.path, ["-p", folder, "-c", "nginx.conf"], {
    core: PROXY_CORE,
    env: program.env,
  });
  const stop = async () => {
    await nginx.stop();
    await Deno.remove(folder, { recursive: true });
  };
  for (const port of [NGINX_PORTS.tcp, NGINX_PORTS.tls]) await waitForPort(port, nginx);
  return { name: "nginx", port: NGINX_PORTS, pid: nginx.pid, stop };
}

/** What the load does: see `client.ts`. */
export type Job =
  | {
    load: "upload" | "download";
    port: number;
    count: number;
    seconds: number;
    serverName?: string;
  }
  | { load: "hold"; port: number; count: number; serverName?: string }
  | { load: "datagrams"; port: number; count: number; seconds: number; size: number }
  | { load: "paced"; port: number; count: number; seconds: number; size: number; rate: number };

/** The command line of the load, on its core. */
export function loadCommand(job: Job): string[] {
  const script = new URL("client.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-net=127.0.0.1"];
  return ["taskset", "-c", `${LOAD_CORE}`, ...deno, script, JSON.stringify(job)];
}

/** Runs the load to its end; what it says on its last line. */
export async function runLoad(job: Job): Promise<Record<string, number>> {
  return JSON.parse((await runCommand(loadCommand(job))).stdout);
}
