/**
 * Takes the cluster down: processes, pods, mounts, namespaces, interfaces, rules, state. It works
 * from what it finds, so that a half-finished `up` is taken down as well; built programs stay.
 */
import { entryExists } from "../../shared/lib/files.ts";
import { POD_BRIDGE } from "./addresses.ts";
import { COMPONENT_NAMES, componentCommand, type ComponentName } from "./components.ts";
import { INTERFACES } from "./configuration.ts";
import { restoreSettings } from "./host.ts";
import { ctr } from "./images.ts";
import { waitUntil } from "./kube.ts";
import type { ClusterPaths } from "./paths.ts";
import { runningPid, stopProcess } from "./process.ts";
import { removeRules } from "./rules.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { startComponent } from "./up.ts";

const NETWORK_RESULTS = "/var/lib/cni/results";

/** What to take down. */
export interface DownOptions {
  paths: ClusterPaths;
  onProgress: (line: string) => void;
}

/** Takes the cluster down; does nothing when there is none. */
export async function clusterDown({ paths, onProgress }: DownOptions): Promise<void> {
  if (!await entryExists(paths.state) && !await entryExists(paths.run)) {
    onProgress("there is no cluster");
    return;
  }
  // The runtime stays until its pods are gone; what would make new ones goes first.
  const first = COMPONENT_NAMES.filter((name) => name !== "containerd").reverse();
  for (const name of first) await stop(name, paths, onProgress);
  await removePods(paths, onProgress);
  await stop("containerd", paths, onProgress);
  const unmounted = await unmountUnder([paths.run, paths.state]);
  if (unmounted > 0) onProgress(`unmounted ${unmounted} file systems`);
  for (const name of INTERFACES) {
    if (await entryExists(`/sys/class/net/${name}`)) {
      await runCommand(["ip", "link", "delete", name]);
    }
  }
  const rules = await removeRules();
  if (rules > 0) onProgress(`removed ${rules} packet rules and chains`);
  await restoreSettings(paths);
  await removeLeftovers(paths);
  // Last: whatever failed above is tried again by the next `down`.
  await remove(paths.run);
  await remove(paths.state);
  onProgress("the cluster is down");
}

async function stop(
  name: ComponentName,
  paths: ClusterPaths,
  onProgress: (line: string) => void,
): Promise<void> {
  const command = componentCommand(name, paths);
  // What the others would tidy up on their way out goes with the cluster.
  const signal = name === "containerd" ? "SIGTERM" : "SIGKILL";
  const stopped = await stopProcess(name, { command, folders: paths, signal });
  if (stopped) onProgress(`stopped ${name}`);
}

/** Kills every container, and removes what held it: its processes, mounts and namespaces. */
async function removePods(
  paths: ClusterPaths,
  onProgress: (line: string) => void,
): Promise<void> {
  if (!await entryExists(`${paths.state}/containerd`)) return;
  const command = componentCommand("containerd", paths);
  if (await runningPid("containerd", { command, folders: paths }) === undefined) {
    await startComponent("containerd", paths);
  }
  await waitUntil("containerd is not ready", {
    ready: async () => (await ctr(["version"], { paths, mayFail: true })).includes("Server:"),
    timeout: 30_000,
    hint: `${paths.logs}/containerd.log`,
  });
  const containers = await list(paths, ["containers", "list", "--quiet"]);
  const namespaces = new Set<string>();
  for (const id of containers) {
    const spec = await ctr(["containers", "info", "--spec", id], { paths, mayFail: true });
    for (const [path] of spec.matchAll(/\/(var\/)?run\/netns\/[\w-]+/g)) namespaces.add(path);
  }
  const tasks = await list(paths, ["tasks", "list", "--quiet"]);
  if (tasks.length > 0) {
    await ctr(["tasks", "delete", "--force", ...tasks], { paths, mayFail: true });
  }
  if (containers.length > 0) {
    await ctr(["containers", "delete", ...containers], { paths, mayFail: true });
  }
  for (const path of namespaces) {
    // The last reference: the namespace goes, and its end of the interface pair with it.
    await runCommand(["umount", path], { mayFail: true });
    await Deno.remove(path).catch(() => {});
  }
  if (containers.length > 0) onProgress(`removed ${containers.length} containers`);
  for (const id of containers) await removeControlGroups(id);
  // The networks' plug-ins keep what they answered, by the pod's first container.
  await removeMatching(NETWORK_RESULTS, (name) => containers.some((id) => name.includes(id)));
}

async function list(paths: ClusterPaths, args: readonly string[]): Promise<string[]> {
  return (await ctr(args, { paths, mayFail: true })).split("\n").filter((line) => line !== "");
}

async function removeControlGroups(id: string): Promise<void> {
  for await (const { name } of Deno.readDir("/sys/fs/cgroup")) {
    for (const folder of [`/sys/fs/cgroup/${name}/k8s.io/${id}`, `/sys/fs/cgroup/${name}/${id}`]) {
      await Deno.remove(folder).catch(() => {});
    }
    // Goes when the last of its children has gone.
    await Deno.remove(`/sys/fs/cgroup/${name}/k8s.io`).catch(() => {});
  }
}

/** Unmounts whatever is mounted in the folders, the innermost first; returns how many there were. */
async function unmountUnder(folders: readonly string[]): Promise<number> {
  const mounts = mountPoints(await Deno.readTextFile("/proc/self/mountinfo"), folders);
  for (const path of mounts) {
    const { success } = await runCommand(["umount", path], { mayFail: true });
    // Held open by a process that is ending: detached now, gone when it has ended.
    if (!success) await runCommand(["umount", "--lazy", path], { mayFail: true });
  }
  return mounts.length;
}

/** The mount points of `/proc/self/mountinfo` that are in one of the folders, innermost first. */
export function mountPoints(mountinfo: string, folders: readonly string[]): string[] {
  return mountinfo.split("\n")
    // Field 5; spaces in it are written in octal (proc(5)).
    .map((line) => (line.split(" ")[4] ?? "").replaceAll("\\040", " "))
    .filter((path) => folders.some((folder) => path.startsWith(`${folder}/`)))
    .reverse();
}

/** What plug-ins and the kubelet write at places that cannot be configured. */
async function removeLeftovers(paths: ClusterPaths): Promise<void> {
  await removeMatching(NETWORK_RESULTS, (name) => name.startsWith(`${POD_BRIDGE}-`));
  await removeMatching("/var/log/containers", async (name) => {
    const target = await Deno.readLink(`/var/log/containers/${name}`).catch(() => "");
    return target.startsWith(paths.state) || target.startsWith("/var/log/pods");
  });
  // Folders go only when nothing else is in them.
  for (
    const folder of [
      NETWORK_RESULTS,
      "/var/lib/cni",
      "/var/log/containers",
      "/var/lib/kubelet/device-plugins/kubelet.sock",
      "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint",
      "/var/lib/kubelet/device-plugins",
      "/var/lib/kubelet",
      "/var/run/netns",
      "/run/containerd/s",
      "/run/containerd/runc/k8s.io",
      "/run/containerd/runc",
      "/run/containerd",
    ]
  ) await Deno.remove(folder).catch(() => {});
}

async function removeMatching(
  folder: string,
  matches: (name: string) => boolean | Promise<boolean>,
): Promise<void> {
  if (!await entryExists(folder)) return;
  for await (const { name } of Deno.readDir(folder)) {
    if (await matches(name)) await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
}

async function remove(path: string): Promise<void> {
  if (await entryExists(path)) await Deno.remove(path, { recursive: true });
}
