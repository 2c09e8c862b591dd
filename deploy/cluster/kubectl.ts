/** The cluster of the current kubeconfig, through kubectl: what people deploy with. */
import { type CommandOptions, runCommand } from "../../shared/lib/run_command.ts";

/** Runs kubectl with arguments; see `runCommand`. */
export type Kubectl = (args: readonly string[], options?: CommandOptions) => Promise<string>;

export interface KubectlEnvironment {
  get(name: string): string | undefined;
}

/**
 * Finds kubectl: the one that was named (`KUBECTL`), the one on the PATH, or the one that the test
 * cluster came with. Throws when there is none.
 */
export async function findKubectl(env: KubectlEnvironment): Promise<Kubectl> {
  const cache = env.get("XDG_CACHE_HOME") ?? `${env.get("HOME") ?? ""}/.cache`;
  const named = env.get("KUBECTL");
  const candidates = [
    ...(named === undefined ? ["kubectl"] : [named]),
    ...await builtHere(`${cache}/light-k8s-gateway`),
  ];
  for (const program of candidates) {
    const { success } = await runCommand([program, "version", "--client"], { mayFail: true });
    if (!success) continue;
    return async (args, options) => (await runCommand([program, ...args], options)).stdout;
  }
  throw new Error("kubectl was not found; put it on the PATH, or name it in KUBECTL");
}

async function builtHere(folder: string): Promise<string[]> {
  try {
    const found: string[] = [];
    for await (const { name } of Deno.readDir(folder)) {
      if (name.startsWith("kubectl-")) found.push(`${folder}/${name}/kubectl`);
    }
    return found.sort().reverse();
  } catch {
    return [];
  }
}
