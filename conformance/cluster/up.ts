/** Brings the cluster up, step by step; every step does nothing when it is already done. */
import { API_URL, DNS_IP, NODE_IP, NODE_NAME, SERVICE_CIDR } from "./addresses.ts";
import { BINARIES, type BinaryName, ensureBinary } from "./binaries.ts";
import { componentCommand, type ComponentName, KUBECONFIGS } from "./components.ts";
import { configurationFiles } from "./configuration.ts";
import { dnsManifest } from "./dns.ts";
import { applyGatewayApi, type Channel } from "./gateway_api.ts";
import { changeSettings, ensureNodeAddress, ensurePackages } from "./host.ts";
import { ctr, ensureImage, IMAGES } from "./images.ts";
import { kubeconfigText } from "./kubeconfig.ts";
import { kubectl, waitUntil } from "./kube.ts";
import type { ClusterPaths } from "./paths.ts";
import { makePki, type PkiFiles } from "./pki.ts";
import { runningPid, startProcess } from "./process.ts";
import { refuseForeignRules } from "./rules.ts";
import { ensureVolume } from "./volume.ts";

/** What to bring up. */
export interface UpOptions {
  paths: ClusterPaths;
  channel: Channel;
  /** Release of the Gateway API, with its `v`. */
  gatewayApi: string;
  now: Date;
  onProgress: (line: string) => void;
}

interface Step {
  name: string;
  run: () => Promise<void>;
}

/** Milliseconds that one component may take until it answers. */
const PATIENCE = 60_000;

/** Brings the cluster up, or what is missing of it. Throws with the name of the step that failed. */
export async function clusterUp(options: UpOptions): Promise<void> {
  const began = performance.now();
  for (const { name, run } of steps(options)) {
    const since = performance.now();
    try {
      await run();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${name}: ${message}`, { cause });
    }
    options.onProgress(`${name} (${((performance.now() - since) / 1000).toFixed(1)} s)`);
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  options.onProgress(`the cluster is up after ${seconds} s: ${API_URL}, node ${NODE_IP},`);
  options.onProgress(`Services ${SERVICE_CIDR}, DNS ${DNS_IP}`);
}

/** In this order, because each needs those before it; what takes long to build comes late. */
function steps(options: UpOptions): Step[] {
  const { paths, onProgress } = options;
  const build = (...names: BinaryName[]) => async () => {
    for (const name of names) await ensureBinary(name, { paths, onProgress });
  };
  const component = (name: ComponentName, ready?: () => Promise<boolean>): Step => ({
    name,
    run: async () => {
      if (Object.hasOwn(BINARIES, name)) await build(name as BinaryName)();
      await startComponent(name, paths);
      if (ready === undefined) return;
      await waitUntil(`${name} is not ready`, {
        ready,
        timeout: PATIENCE,
        hint: `${paths.logs}/${name}.log`,
      });
    },
  });
  const asked = (...args: string[]) => async () => {
    const { success, stdout } = await kubectl(args, { paths, mayFail: true, timeout: 10_000 });
    return success && stdout.trim() !== "";
  };
  return [
    { name: "machine", run: () => prepareMachine(options) },
    { name: "credentials", run: () => writeFiles(options) },
    { name: "kubectl", run: build("kubectl") },
    component("etcd"),
    component("kube-apiserver", asked("get", "--raw", "/readyz")),
    {
      name: `Gateway API ${options.gatewayApi}, ${options.channel} channel`,
      run: () => applyGatewayApi({ paths, version: options.gatewayApi, channel: options.channel }),
    },
    component(
      "containerd",
      async () => (await ctr(["version"], { paths, mayFail: true })).includes("Server:"),
    ),
    ...IMAGES.filter(({ binary }) => binary !== "coredns").map((image): Step => ({
      name: `image ${image.binary}`,
      run: () => ensureImage(image, { paths, onProgress }),
    })),
    component(
      "kube-controller-manager",
      asked("get", "serviceaccount", "default", "-o", "name"),
    ),
    { name: "volume", run: () => ensureVolume(paths) },
    component("kube-scheduler"),
    component("kubelet", async () => {
      const path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
      const args = ["get", "node", NODE_NAME, "-o", path];
      const { stdout } = await kubectl(args, { paths, mayFail: true });
      return stdout === "True";
    }),
    component("kube-proxy", () => answers("http://127.0.0.1:10256/livez")),
    {
      name: "DNS",
      run: async () => {
        for (const image of IMAGES) await ensureImage(image, { paths, onProgress });
        await kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], {
          paths,
          stdin: dnsManifest(),
        });
        await kubectl(
          ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"],
          { paths },
        );
      },
    },
  ];
}

/** Starts a component that does not run. */
export async function startComponent(name: ComponentName, paths: ClusterPaths): Promise<void> {
  const command = componentCommand(name, paths);
  if (await runningPid(name, { command, folders: paths }) !== undefined) return;
  await startProcess(name, { command, folders: paths });
}

async function prepareMachine({ paths, onProgress }: UpOptions): Promise<void> {
  if (Deno.uid() !== 0) throw new Error("a cluster needs root: pods are namespaces and mounts");
  await ensurePackages(onProgress);
  await refuseForeignRules(paths);
  for (const folder of [paths.state, paths.logs, paths.pids, `${paths.state}/cni`, paths.run]) {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await changeSettings(paths);
  await ensureNodeAddress();
}

/** The PKI is made once; a folder that is there is whole, for it is moved into place at the end. */
async function writeFiles({ paths, now }: UpOptions): Promise<void> {
  const pki = await readPki(paths) ?? await makePki({ now });
  if (await readPki(paths) === undefined) {
    const work = await Deno.makeTempDir({ dir: paths.state, prefix: "pki-" });
    for (const [name, text] of Object.entries(pki)) {
      await Deno.writeTextFile(`${work}/${name}`, text, { mode: 0o600 });
    }
    await Deno.rename(work, paths.pki);
  }
  const files: Record<string, string> = { ...configurationFiles(paths), "resolv.conf": "" };
  for (const [component, subject] of Object.entries(KUBECONFIGS)) {
    files[`${component}.kubeconfig`] = kubeconfigText(subject, pki);
  }
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${paths.state}/${name}`, text, { mode: 0o600 });
  }
  await Deno.writeTextFile(paths.kubeconfig, kubeconfigText("admin", pki), { mode: 0o600 });
}

async function readPki(paths: ClusterPaths): Promise<PkiFiles | undefined> {
  try {
    const files: Record<string, string> = {};
    for await (const { name } of Deno.readDir(paths.pki)) {
      files[name] = await Deno.readTextFile(`${paths.pki}/${name}`);
    }
    return files;
  } catch {
    return undefined;
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
