/** Starts the example backends as a process of their own. */
import { EXAMPLE_BACKENDS } from "./backends.ts";
import { ChildError } from "./child.ts";

const SCRIPT = new URL("./backends.ts", import.meta.url).pathname;

/** Rejects when one of their ports is taken. */
export async function startBackends(): Promise<{ stop(): Promise<void> }> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", SCRIPT],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
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
    const ports = Object.values(EXAMPLE_BACKENDS).join(", ");
    throw new ChildError(`the example backends did not start on ports ${ports}: ${problem}`);
  }
  return {
    stop: async () => {
      // Closing its input is how it learns that we are done.
      await process.stdin.close();
      await process.status;
      await drained;
    },
  };
}
