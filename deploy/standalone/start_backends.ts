/** Starts the backends of samples as a process of their own. */
import { ChildError } from "./child.ts";

export interface BackendsOptions {
  /** Module that prints a line when it serves, and ends with its standard input. */
  script: string;
  /** Permissions beside the network of loopback. */
  flags?: readonly string[];
  /** Name → port, for messages. */
  ports: Readonly<Record<string, number>>;
  /** Handed over as one JSON line; what it holds is seen nowhere else. */
  input?: unknown;
}

export interface RunningBackends {
  stop(): Promise<void>;
}

/** Rejects when one of their ports is taken. */
export async function startBackends(
  { script, flags = [], ports, input }: BackendsOptions,
): Promise<RunningBackends> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", ...flags, script],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const toChild = process.stdin.getWriter();
  if (input !== undefined) {
    // One that ended says why on its standard error.
    await toChild.write(new TextEncoder().encode(`${JSON.stringify(input)}\n`)).catch(() => {});
  }
  const reader = process.stdout.getReader();
  const { done } = await reader.read();
  reader.releaseLock();
  const drained = Promise.all([
    process.stdout.pipeTo(new WritableStream()).catch(() => {}),
    done ? undefined : process.stderr.pipeTo(new WritableStream()).catch(() => {}),
  ]);
  if (done) {
    const problem = (await new Response(process.stderr).text()).trim().split("\n")[0] ?? "";
    await process.status;
    await toChild.close().catch(() => {});
    const taken = Object.values(ports).join(", ");
    throw new ChildError(`the example backends did not start on ports ${taken}: ${problem}`);
  }
  return {
    stop: async () => {
      // Closing its input is how it learns that we are done.
      await toChild.close().catch(() => {});
      await process.status;
      await drained;
    },
  };
}
