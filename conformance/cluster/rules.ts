/** The packet rules of kube-proxy and of the network plug-ins, and their removal. */
import type { ClusterPaths } from "./paths.ts";
import { runCommand } from "../../shared/lib/run_command.ts";

/** Chains of kube-proxy and the kubelet, and of the network plug-ins. */
const OURS = /(^|[\s:])(KUBE|CNI)-|KUBE-MARK/;
const FAMILIES = ["iptables", "ip6tables"] as const;

/**
 * What `iptables-save` printed, without the rules and chains of a cluster. All that is left goes
 * back in one transaction per table.
 */
export function withoutClusterRules(saved: string): { text: string; removed: number } {
  const lines = saved.split("\n");
  const kept = lines.filter((line) => line.startsWith("#") || !OURS.test(line));
  return { text: kept.join("\n"), removed: lines.length - kept.length };
}

/** Removes every rule and chain of the cluster; returns how many lines went. */
export async function removeRules(): Promise<number> {
  let total = 0;
  for (const family of FAMILIES) {
    const { stdout, success } = await runCommand([`${family}-save`], { mayFail: true });
    if (!success) continue;
    const { text, removed } = withoutClusterRules(stdout);
    if (removed === 0) continue;
    await runCommand([`${family}-restore`], { stdin: text });
    total += removed;
  }
  return total;
}

/**
 * Throws when the machine has such rules while we have no cluster: they are another cluster's, and
 * would be taken away with ours.
 */
export async function refuseForeignRules(paths: ClusterPaths): Promise<void> {
  const ours = await Deno.stat(paths.state).then(() => true, () => false);
  if (ours) return;
  const { stdout } = await runCommand(["iptables-save"], { mayFail: true });
  if (withoutClusterRules(stdout).removed > 0) {
    throw new Error(
      "the machine has rules of another kube-proxy (iptables-save): set KUBECONFIG to that " +
        "cluster, or take it down first",
    );
  }
}
