/** A process of the stack: told what it needs through its standard input, gone with us. */

export interface ChildOptions {
  /** For messages. */
  name: string;
  /** Module to run. */
  script: string;
  /** Deno permission flags and the like. */
  flags: readonly string[];
  /** Beside what it inherits. */
  env?: Record<string, string>;
  /** Handed over as one JSON line. */
  bootstrap: unknown;
  /** Takes each line that it prints on standard error. */
  onLog: (line: string) => void;
  /** Milliseconds until the first line of standard output must be there. Default 30,000. */
  timeout?: number;
  /** Milliseconds between SIGTERM and SIGKILL. Default 15,000: time to drain. */
  grace?: number;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** What it said on its first line: JSON. */
  readonly ready: unknown;
  /** Resolves with the exit code when it ends, for whatever reason. */
  readonly exited: Promise<number>;
  /** Asks it to end, waits, and insists. */
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
}

/** The child ended or stayed silent before it was ready. */
export class ChildError extends Error {
  override name = "ChildError";
}

const TAIL_LINES = 8;

/** Starts a child and resolves when it says that it is ready. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { name, script, flags, env = {}, bootstrap, onLog } = options;
  const { timeout = 30_000, grace = 15_000 } = options;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...flags, script],
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = process.stdin.getWriter();
  const tail: string[] = [];
  const log = eachLine(process.stderr, (line) => {
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    onLog(line);
  });
  let firstLine: (line: string | undefined) => void = () => {};
  const first = new Promise<string | undefined>((resolve) => firstLine = resolve);
  // Later lines are what the process reports about its work (the access log).
  const output = eachLine(process.stdout, (line) => {
    firstLine(line);
    onLog(line);
  }).then(() => firstLine(undefined));
  const exited = process.status.then(async ({ code }) => {
    await Promise.all([log, output]);
    await input.close().catch(() => {});
    return code;
  });
  const signal = (which: Deno.Signal) => {
    try {
      process.kill(which);
    } catch {
      // It has ended already.
    }
  };
  const kill = async () => {
    signal("SIGKILL");
    await exited;
  };
  await input.write(new TextEncoder().encode(`${JSON.stringify(bootstrap)}\n`)).catch(() => {});
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silent = new Promise<undefined>((resolve) =>
    timer = setTimeout(() => resolve(undefined), timeout)
  );
  const line = await Promise.race([first, silent]);
  clearTimeout(timer);
  if (line === undefined) {
    await kill();
    throw new ChildError(`${name} did not start: ${tail.join(" | ")}`);
  }
  return {
    name,
    pid: process.pid,
    ready: JSON.parse(line),
    exited,
    kill,
    stop: async () => {
      signal("SIGTERM");
      const insist = setTimeout(() => signal("SIGKILL"), grace);
      await exited;
      clearTimeout(insist);
    },
  };
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}
