/**
 * Long-running programs that outlive this one: started in a session of their own with their output
 * in a file, found again by a pid file, and only ever ended by that pid after its command line was
 * compared, for a pid can belong to somebody else by then.
 */
import { runCommand } from "../../shared/lib/run_command.ts";

/** Where the records of the programs are. */
export interface ProcessFolders {
  /** Named in an argument of every program of ours. */
  state: string;
  pids: string;
  logs: string;
}

const POLL = 50;

/** Starts a program; its pid is recorded before it begins. Its log is appended to. */
export async function startProcess(
  name: string,
  options: { command: readonly string[]; folders: ProcessFolders },
): Promise<void> {
  const { command, folders } = options;
  const script = 'echo $$ > "$0"; exec >> "$1" 2>&1 < /dev/null; shift; exec "$@"';
  const files = [`${folders.pids}/${name}`, `${folders.logs}/${name}.log`];
  await runCommand(["setsid", "--fork", "sh", "-c", script, ...files, ...command]);
}

/** The pid of a program that runs, or undefined. */
export async function runningPid(
  name: string,
  options: { command: readonly string[]; folders: ProcessFolders },
): Promise<number | undefined> {
  try {
    const pid = Number((await Deno.readTextFile(`${options.folders.pids}/${name}`)).trim());
    if (!Number.isInteger(pid) || pid <= 1) return undefined;
    const [program = "", ...args] = (await Deno.readTextFile(`/proc/${pid}/cmdline`)).split("\0");
    // Not the whole line: flags differ between versions. A dying process has an empty one.
    const ours = fileName(program) === fileName(options.command[0] ?? "") &&
      args.some((arg) => arg.includes(options.folders.state));
    return ours ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Ends a program: `signal` first, KILL when it has not ended after `patience` milliseconds.
 * Returns whether there was one.
 */
export async function stopProcess(
  name: string,
  options: {
    command: readonly string[];
    folders: ProcessFolders;
    signal?: "SIGTERM" | "SIGKILL";
    patience?: number;
  },
): Promise<boolean> {
  const pid = await runningPid(name, options);
  if (pid === undefined) return false;
  send(pid, options.signal ?? "SIGTERM");
  const patience = options.patience ?? 10_000;
  for (let waited = 0; await runningPid(name, options) !== undefined; waited += POLL) {
    if (waited === patience) send(pid, "SIGKILL");
    if (waited > patience + 10_000) throw new Error(`${name} (pid ${pid}) does not end`);
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  await Deno.remove(`${options.folders.pids}/${name}`).catch(() => {});
  return true;
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function send(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
