/** Processes under measurement: pinned to a core, their CPU time read from the kernel. */

export interface Spawned {
  pid: number;
  /** The end of what it printed, for errors. */
  log: () => string;
  stop(): Promise<void>;
}

export interface SpawnOptions {
  /** Core to run on; absent = any. */
  core?: number;
  env?: Record<string, string>;
}

/** What was started and not stopped. */
const running = new Set<Deno.ChildProcess>();

/** A benchmark that is told to end leaves nobody behind; its own stack ends with it anyway. */
export function stopWithSignals(): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => {
      for (const child of running) child.kill("SIGKILL");
      Deno.exit(1);
    });
  }
}

/** Starts a command and collects the end of its output. */
export function spawn(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Spawned {
  const pinned = options.core === undefined
    ? [command, ...args]
    : ["taskset", "-c", String(options.core), command, ...args];
  const child = new Deno.Command(pinned[0] as string, {
    args: pinned.slice(1),
    env: options.env ?? {},
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  running.add(child);
  void child.status.then(() => running.delete(child));
  let log = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      log = (log + text).slice(-4000);
    }
  };
  const collected = Promise.all([collect(child.stdout), collect(child.stderr)]);
  return {
    pid: child.pid,
    log: () => log,
    stop: async () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // Ended already.
      }
      await child.status;
      await collected;
    },
  };
}

/** Ticks per second of `/proc/<pid>/stat` (USER_HZ, fixed on Linux). */
const TICKS = 100;

/** CPU time of a process and all its threads so far, in seconds. */
export function cpuSeconds(pid: number): Promise<number> {
  return cpuOf(`/proc/${pid}/stat`);
}

/** CPU time of each thread of a process so far, in seconds, by the thread's id. */
export async function threadCpuSeconds(pid: number): Promise<Map<string, number>> {
  const threads = await Array.fromAsync(Deno.readDir(`/proc/${pid}/task`));
  const seconds = new Map<string, number>();
  for (const { name } of threads) {
    const cpu = await cpuOf(`/proc/${pid}/task/${name}/stat`).catch(() => undefined);
    // Undefined: it has ended meanwhile.
    if (cpu !== undefined) seconds.set(name, cpu);
  }
  return seconds;
}

async function cpuOf(path: string): Promise<number> {
  const stat = await Deno.readTextFile(path);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** What a process's main thread got of the machine so far, in milliseconds. */
export interface Scheduled {
  ran: number;
  /** Was ready to run, and no core was free. */
  waited: number;
}

export async function scheduled(pid: number): Promise<Scheduled> {
  const [ran = 0, waited = 0] = (await Deno.readTextFile(`/proc/${pid}/schedstat`)).split(" ")
    .map((nanoseconds) => Number(nanoseconds) / 1e6);
  return { ran, waited };
}

/** Resident memory of a process, in megabytes (10^6 bytes). */
export async function residentMegabytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? NaN) * 1024 / 1e6;
}

/** Open file descriptors of a process. */
export async function openDescriptors(pid: number): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
}

/** Pins a process with all its threads to a core. */
export async function pin(pid: number, core: number): Promise<void> {
  await new Deno.Command("taskset", {
    args: ["-a", "-c", "-p", String(core), String(pid)],
    stdout: "null",
  }).output();
}

/** Waits until a TCP port accepts, or throws with what the process printed. */
export async function waitForPort(port: number, process?: Spawned): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`nothing listens on 127.0.0.1:${port}: ${process?.log() ?? ""}`);
}
