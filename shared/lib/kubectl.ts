/** The cluster of the current kubeconfig, through kubectl: what people deploy with. */
import { type CommandOptions, runCommand } from "./run_command.ts";

/** Runs kubectl with arguments; see `runCommand`. */
export type Kubectl = (args: readonly string[], options?: CommandOptions) => Promise<string>;

/** A port of this machine that leads to one of a pod, until it is closed. */
export interface ForwardedPort {
  port: number;
  close(): Promise<void>;
}

export interface KubectlEnvironment {
  get(name: string): string | undefined;
}

/**
 * Finds kubectl: the one that was named (`KUBECTL`), the one on the PATH, or the one that the test
 * cluster came with. Throws when there is none.
 */
export async function findKubectl(env: KubectlEnvironment): Promise<Kubectl> {
  return kubectlOf(await findKubectlProgram(env));
}

/** kubectl at a path. */
export function kubectlOf(program: string): Kubectl {
  return async (args, options) => (await runCommand([program, ...args], options)).stdout;
}

/** Milliseconds until a forwarded port has to be there. */
const FORWARD = 15_000;

/** `kubectl port-forward` to a port of a pod, its loopback included. */
export async function forwardPort(
  program: string,
  { namespace, pod, port }: { namespace: string; pod: string; port: number },
): Promise<ForwardedPort> {
  const child = new Deno.Command(program, {
    args: ["port-forward", "-n", namespace, "--address", "127.0.0.1", `pod/${pod}`, `:${port}`],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const close = async () => {
    try {
      child.kill();
    } catch {
      // It has ended already.
    }
    await Promise.all([child.status, child.stdout.cancel(), child.stderr.cancel()]);
  };
  const late = setTimeout(() => child.kill(), FORWARD);
  try {
    const decoder = new TextDecoder();
    let text = "";
    const reader = child.stdout.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      text += decoder.decode(value, { stream: true });
      const found = /127\.0\.0\.1:(\d+) ->/.exec(text)?.[1];
      if (found !== undefined) {
        reader.releaseLock();
        return { port: Number(found), close };
      }
      if (done) {
        reader.releaseLock();
        const said = await new Response(child.stderr).text().catch(() => "");
        throw new Error(`no way to port ${port} of pod ${pod}: ${said.trim()}`);
      }
    }
  } catch (error) {
    await close().catch(() => {});
    throw error;
  } finally {
    clearTimeout(late);
  }
}

/** The path, or the name on the PATH, of what {@linkcode findKubectl} finds. */
export async function findKubectlProgram(env: KubectlEnvironment): Promise<string> {
  const cache = env.get("XDG_CACHE_HOME") ?? `${env.get("HOME") ?? ""}/.cache`;
  const named = env.get("KUBECTL");
  const candidates = [
    ...(named === undefined ? ["kubectl"] : [named]),
    ...await builtHere(`${cache}/light-k8s-gateway`),
  ];
  for (const program of candidates) {
    const { success } = await runCommand([program, "version", "--client"], { mayFail: true });
    if (success) return program;
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
