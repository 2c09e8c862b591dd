/**
 * What `bench cpu` compares, each on the same core: the proxy, Envoy and nginx, with the same routes
 * and the same certificate, before one backend on the other core.
 */
import { runCommand } from "../../shared/lib/run_command.ts";
import { startStack } from "../../deploy/standalone/stack.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { HOST, LOCAL_PORT, LOCAL_TLS_PORT, writeManifests } from "./manifests.ts";
import { backendConfig, envoyConfig, nginxConfig } from "./peers/config.ts";
import type { PeerOptions } from "./peers/config.ts";
import { pin, spawn, waitForPort } from "./process.ts";
import type { Spawned } from "./process.ts";
import type { Tools } from "./tools.ts";

export const CLIENT_CORE = 0;
const PROXY_CORE = 1;
const BACKEND_PORT = 18_201;
const PORTS = {
  nginx: { plain: 18_202, tls: 18_204 },
  envoy: { plain: 18_203, tls: 18_205 },
};
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
  const started: { stop(): Promise<void> }[] = [];
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
    const manifests = `${folder}/manifests`;
    await Deno.mkdir(manifests);
    await writeManifests(manifests, { routes, backends: { backend: BACKEND_PORT }, tls });
    const backend = await startBackend(tools, { folder: `${folder}/backend`, sizes });
    started.push(backend);
    await waitForPort(BACKEND_PORT, backend);
    const files = { certificate: `${folder}/tls.crt`, key: `${folder}/tls.key` };
    await Deno.writeTextFile(files.certificate, tls.certificate);
    await Deno.writeTextFile(files.key, tls.key, { mode: 0o600 });
    const peers = await startPeers(tools, { folder, routes, files, started });
    const stack = await startStack({ manifests: [manifests], env: Deno.env });
    started.push(stack);
    await pin(stack.controller.current.pid, CLIENT_CORE);
    const pid = stack.proxies[0]?.current.pid ?? 0;
    await pin(pid, PROXY_CORE);
    const port = { plain: LOCAL_PORT, tls: LOCAL_TLS_PORT };
    const contestants: Contestant[] = [{ name: "light-k8s-gateway", port, pid }, ...peers];
    return { contestants, authority: tls.certificate, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What is compared, for whoever reads the figures later. */
export async function versions(tools: Tools): Promise<string[]> {
  const said = await runCommand([tools.envoy.path, "--version"]);
  const envoy = /version: \S+?\/(\d+\.\d+\.\d+)/.exec(said.stdout);
  const nginx = await runCommand([tools.nginx.path, "-v"], { env: tools.nginx.env });
  return [
    `deno ${Deno.version.deno}`,
    `envoy ${envoy?.[1] ?? "unknown"}`,
    // On standard error.
    nginx.stderr.trim().replace("nginx version: ", ""),
  ];
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

interface PeersOptions {
  folder: string;
  routes: number;
  files: PeerOptions["tls"];
  /** Takes what has to be stopped. */
  started: { stop(): Promise<void> }[];
}

async function startPeers(
  tools: Tools,
  { folder, routes, files, started }: PeersOptions,
): Promise<Contestant[]> {
  const common = { routes, backendPort: BACKEND_PORT, tls: files };
  const nginx = await startNginx(tools, {
    folder: `${folder}/nginx`,
    config: nginxConfig({ ...common, port: PORTS.nginx }),
    core: PROXY_CORE,
  });
  started.push(nginx);
  const config = envoyConfig({ ...common, port: PORTS.envoy });
  await Deno.writeTextFile(`${folder}/envoy.yaml`, config);
  const envoy = spawn(tools.envoy.path, [
    "-c",
    `${folder}/envoy.yaml`,
    "--concurrency",
    "1",
    "--log-level",
    "error",
    "--disable-hot-restart",
  ], { core: PROXY_CORE });
  started.push(envoy);
  for (const port of Object.values(PORTS.nginx)) await waitForPort(port, nginx);
  for (const port of Object.values(PORTS.envoy)) await waitForPort(port, envoy);
  return [
    { name: "envoy", port: PORTS.envoy, pid: envoy.pid },
    { name: "nginx", port: PORTS.nginx, pid: nginx.pid },
  ];
}
