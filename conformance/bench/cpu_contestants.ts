/**
 * What `bench cpu` compares, each on the same core: the proxy, Envoy and nginx, with the same routes
 * and the same certificate, before one backend on the other core. `bench grpc` has its own backend
 * and routes, and uses the rest.
 */
import { runCommand } from "../../shared/lib/run_command.ts";
import { startStack } from "../../deploy/standalone/stack.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { HOST, LOCAL_PORT, LOCAL_TLS_PORT, writeManifests } from "./manifests.ts";
import { envoyConfig } from "./peers/envoy.ts";
import { backendConfig, nginxConfig } from "./peers/nginx.ts";
import type { NginxOptions } from "./peers/nginx.ts";
import { pin, spawn, waitForPort } from "./process.ts";
import type { Spawned } from "./process.ts";
import type { Tools } from "./tools.ts";

export const CLIENT_CORE = 0;
const PROXY_CORE = 1;
const BACKEND_PORT = 18_201;
const NGINX_PORT = { plain: 18_202, tls: 18_204 };
export const ENVOY_PORT = { plain: 18_203, tls: 18_205 };
const DAY = 24 * 3600 * 1000;

export interface Contestant {
  name: "light-k8s-gateway" | "envoy" | "nginx";
  port: { plain: number; tls: number };
  pid: number;
}

export interface Contest {
  contestants: readonly Contestant[];
  /** PEM of the certificate that all of them show. */
  authority: string;
  stop(): Promise<void>;
}

export interface ContestOptions {
  /** Number of routes. */
  routes: number;
  /** Bytes of the bodies that the backend has. */
  sizes: readonly number[];
}

/** Starts the backend and the contestants, each accepting when this resolves. */
export async function startContest(tools: Tools, options: ContestOptions): Promise<Contest> {
  const { routes, sizes } = options;
  return await openContest(async (arena) => {
    const { folder, tls, started } = arena;
    const manifests = `${folder}/manifests`;
    await Deno.mkdir(manifests);
    await writeManifests(manifests, { routes, backends: { backend: BACKEND_PORT }, tls });
    const backend = await startBackend(tools, { folder: `${folder}/backend`, sizes });
    started.push(backend);
    await waitForPort(BACKEND_PORT, backend);
    const nginx = await startNginxPeer(tools, { arena, routes });
    const config = envoyConfig({
      routes: Array.from({ length: routes }, (_, i) => ({
        match: { path_separated_prefix: `/r${i}` },
        header: { key: "x-route", value: `r${i}` },
      })),
      port: ENVOY_PORT,
      backend: { port: BACKEND_PORT, protocol: "HTTP/1.1" },
      tls: arena.files,
    });
    const envoy = await startEnvoy(tools, { arena, config });
    return [await startOwn(arena, manifests), envoy, nginx];
  });
}

/** Where contestants are started. */
export interface Arena {
  folder: string;
  /** PEM that all of them show, and the files with it. */
  tls: { certificate: string; key: string };
  files: NginxOptions["tls"];
  /** Takes what has to be stopped. */
  started: { stop(): Promise<void> }[];
}

/** Makes an arena and has `start` put the contestants into it; whatever fails, nothing is left. */
export async function openContest(
  start: (arena: Arena) => Promise<readonly Contestant[]>,
): Promise<Contest> {
  const started: Arena["started"] = [];
  // Only this user may look inside: the key is in it, and nobody else's business.
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const stop = async () => {
    for (const process of started.reverse()) await process.stop();
    await Deno.remove(folder, { recursive: true });
  };
  try {
    const tls = await selfSigned({
      names: [HOST],
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
    });
    const files = { certificate: `${folder}/tls.crt`, key: `${folder}/tls.key` };
    await Deno.writeTextFile(files.certificate, tls.certificate);
    await Deno.writeTextFile(files.key, tls.key, { mode: 0o600 });
    const contestants = await start({ folder, tls, files, started });
    return { contestants, authority: tls.certificate, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The gateway with these manifests: its proxy on the core of the contestants. */
export async function startOwn({ started }: Arena, manifests: string): Promise<Contestant> {
  const stack = await startStack({ manifests: [manifests], env: Deno.env });
  started.push(stack);
  await pin(stack.controller.current.pid, CLIENT_CORE);
  const pid = stack.proxies[0]?.current.pid ?? 0;
  await pin(pid, PROXY_CORE);
  return { name: "light-k8s-gateway", port: { plain: LOCAL_PORT, tls: LOCAL_TLS_PORT }, pid };
}

/** Envoy with a configuration for {@linkcode ENVOY_PORT}. */
export async function startEnvoy(
  { envoy }: Pick<Tools, "envoy">,
  { arena, config }: { arena: Arena; config: string },
): Promise<Contestant> {
  const file = `${arena.folder}/envoy.yaml`;
  await Deno.writeTextFile(file, config);
  const args = ["-c", file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
  const process = spawn(envoy.path, args, { core: PROXY_CORE });
  arena.started.push(process);
  for (const port of Object.values(ENVOY_PORT)) await waitForPort(port, process);
  return { name: "envoy", port: ENVOY_PORT, pid: process.pid };
}

/** What is compared, for whoever reads the figures later. */
export async function versions(tools: Pick<Tools, "envoy"> & Partial<Tools>): Promise<string[]> {
  const said = await runCommand([tools.envoy.path, "--version"]);
  const envoy = /version: \S+?\/(\d+\.\d+\.\d+)/.exec(said.stdout);
  const lines = [`deno ${Deno.version.deno}`, `envoy ${envoy?.[1] ?? "unknown"}`];
  if (tools.nginx === undefined) return lines;
  const nginx = await runCommand([tools.nginx.path, "-v"], { env: tools.nginx.env });
  // On standard error.
  return [...lines, nginx.stderr.trim().replace("nginx version: ", "")];
}

/** An nginx that answers every route with bodies of these sizes. */
async function startBackend(
  tools: Tools,
  { folder, sizes }: { folder: string; sizes: readonly number[] },
): Promise<Spawned> {
  await Deno.mkdir(`${folder}/www`, { recursive: true });
  for (const size of sizes) await Deno.writeTextFile(`${folder}/www/${size}`, "x".repeat(size));
  // Its worker may run as another user.
  for (const part of [folder, `${folder}/www`]) await Deno.chmod(part, 0o755);
  return await startNginx(tools, {
    folder,
    config: backendConfig(BACKEND_PORT),
    core: CLIENT_CORE,
  });
}

async function startNginx(
  tools: Tools,
  options: { folder: string; config: string; core: number },
): Promise<Spawned> {
  await Deno.mkdir(options.folder, { recursive: true });
  await Deno.writeTextFile(`${options.folder}/nginx.conf`, options.config);
  return spawn(tools.nginx.path, ["-p", options.folder, "-c", "nginx.conf"], {
    core: options.core,
    env: tools.nginx.env,
  });
}

async function startNginxPeer(
  tools: Tools,
  { arena, routes }: { arena: Arena; routes: number },
): Promise<Contestant> {
  const { folder, files, started } = arena;
  const config = { routes, port: NGINX_PORT, backendPort: BACKEND_PORT, tls: files };
  const nginx = await startNginx(tools, {
    folder: `${folder}/nginx`,
    config: nginxConfig(config),
    core: PROXY_CORE,
  });
  started.push(nginx);
  for (const port of Object.values(NGINX_PORT)) await waitForPort(port, nginx);
  return { name: "nginx", port: NGINX_PORT, pid: nginx.pid };
}
