/** The cluster's own kubectl, as its administrator. */
import type { ClusterPaths } from "./paths.ts";
import {
  type CommandOptions,
  type CommandResult,
  runCommand,
} from "../../shared/lib/run_command.ts";

/** Runs kubectl with the given arguments. Throws when it fails and may not. */
export function kubectl(
  args: readonly string[],
  options: { paths: Pick<ClusterPaths, "kubectl" | "kubeconfig"> } & CommandOptions,
): Promise<CommandResult> {
  const { paths, ...rest } = options;
  return runCommand([paths.kubectl, `--kubeconfig=${paths.kubeconfig}`, ...args], rest);
}

/** Waits until `ready` says so; throws with `what` after `timeout` milliseconds. */
export async function waitUntil(
  what: string,
  options: { ready: () => Promise<boolean>; timeout: number; interval?: number; hint?: string },
): Promise<void> {
  const { ready, timeout, interval = 100, hint } = options;
  const deadline = performance.now() + timeout;
  while (!await ready()) {
    if (performance.now() > deadline) {
      throw new Error(
        `${what}: not after ${timeout / 1000} s${hint === undefined ? "" : `; see ${hint}`}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
}
