/** What runs of the cluster, for a reader. */
import { API_URL, NODE_IP, SERVICE_CIDR } from "./addresses.ts";
import { COMPONENT_NAMES, componentCommand } from "./components.ts";
import { installedChannel } from "./gateway_api.ts";
import { imageNames } from "./images.ts";
import { kubectl } from "./kube.ts";
import type { ClusterPaths } from "./paths.ts";
import { runningPid } from "./process.ts";

/** The state of the cluster as lines, and whether every component runs and the API answers. */
export async function clusterStatus(
  paths: ClusterPaths,
): Promise<{ lines: string[]; up: boolean }> {
  const lines: string[] = [];
  let up = true;
  for (const name of COMPONENT_NAMES) {
    const command = componentCommand(name, paths);
    const pid = await runningPid(name, { command, folders: paths });
    up &&= pid !== undefined;
    lines.push(`${name.padEnd(24)} ${pid === undefined ? "not running" : `pid ${pid}`}`);
  }
  const api = await kubectl(["get", "--raw", "/readyz"], { paths, mayFail: true, timeout: 10_000 });
  up &&= api.success;
  lines.push(`${"API".padEnd(24)} ${api.success ? `${API_URL} is ready` : "does not answer"}`);
  if (!api.success) return { lines, up };
  const table = async (...args: string[]) => {
    const { stdout } = await kubectl(args, { paths, mayFail: true, timeout: 10_000 });
    return stdout.split("\n").filter((line) => line !== "");
  };
  lines.push(`${"Gateway API channel".padEnd(24)} ${await installedChannel(paths)}`);
  lines.push(`${"addresses".padEnd(24)} node ${NODE_IP}, Services ${SERVICE_CIDR}`);
  lines.push(`${"kubeconfig".padEnd(24)} ${paths.kubeconfig}`, "");
  lines.push(...await table("get", "nodes"), "");
  lines.push(...await table("get", "pods", "--all-namespaces", "-o", "wide"), "");
  lines.push("images:", ...(await imageNames(paths)).map((name) => `  ${name}`));
  return { lines, up };
}
