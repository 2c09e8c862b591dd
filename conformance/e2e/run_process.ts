/** `deno task run` as a process, as its user starts it. */
import { outputOf } from "./process_output.ts";
import { eventually } from "./wait.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;

export interface RunProcess {
  readonly pid: number;
  /** Everything printed so far. */
  readonly output: string;
  /** Resolves when it says that everything is up. */
  started(): Promise<void>;
  /** Its processes and theirs. */
  descendants(): Promise<number[]>;
  /** Signals the whole process group, as Ctrl-C in a terminal does. */
  interrupt(): void;
  /** kill -9 of this one process, if it still lives. */
  kill(): void;
  /** Resolves with the exit code when it has ended. */
  readonly ended: Promise<number>;
}

/** The command of the task, so that what is tested is what users run. */
async function taskCommand(): Promise<string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${REPOSITORY}deno.json`));
  const [program, ...args] = String(tasks.run.command).split(" ");
  if (program !== "deno") throw new Error(`the task "run" is expected to start deno: ${program}`);
  return args;
}

export interface RunOptions {
  args: readonly string[];
  /** Folder for what it keeps in temporary folders; looked at afterwards. */
  temporary: string;
}

/** Starts it in a process group of its own. */
export async function startRun({ args, temporary }: RunOptions): Promise<RunProcess> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [...await taskCommand(), ...args],
    cwd: REPOSITORY,
    detached: true,
    env: { TMPDIR: temporary, XDG_RUNTIME_DIR: temporary, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = outputOf(process);
  let code: number | undefined;
  const ended = process.status.then(async (status) => {
    code = status.code;
    await output.ended;
    return status.code;
  });
  return {
    pid: process.pid,
    get output() {
      return output.text;
    },
    started: async () => {
      await eventually("everything is up", () => {
        if (code !== undefined) return true;
        return output.text.includes("Ctrl-C ends it.");
      });
      if (code !== undefined) throw new Error(`it ended with ${code}: ${output.text}`);
    },
    descendants: () => descendantsOf(process.pid),
    interrupt: () => Deno.kill(-process.pid, "SIGINT"),
    kill: () => {
      if (code === undefined) process.kill("SIGKILL");
    },
    ended,
  };
}

/** Runs it until the test is over; it and all of its processes are gone then. */
export async function withRun(
  args: readonly string[],
  test: (run: RunProcess, temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = await Deno.makeTempDir({ prefix: "lgw-e2e-run-" });
  const run = await startRun({ args, temporary });
  let processes: number[] = [];
  try {
    await run.started();
    processes = await run.descendants();
    await test(run, temporary);
  } catch (error) {
    console.error(run.output);
    throw error;
  } finally {
    run.kill();
    await run.ended;
    await allGone(processes);
    await Deno.remove(temporary, { recursive: true });
  }
}

/** Pids of all living processes with the pid of their parent. */
async function parents(): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = await parentOf(Number(name));
    if (parent !== undefined) found.set(Number(name), parent);
  }
  return found;
}

/** Undefined when the process is gone, or ended and only waits to be collected. */
async function parentOf(pid: number): Promise<number | undefined> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

async function descendantsOf(pid: number): Promise<number[]> {
  const all = await parents();
  const found = [pid];
  for (const ancestor of found) {
    for (const [child, parent] of all) if (parent === ancestor) found.push(child);
  }
  return found.slice(1);
}

/** Resolves when none of the processes lives any more. */
export async function allGone(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    await eventually(`process ${pid} is gone`, async () => await parentOf(pid) === undefined);
  }
}
