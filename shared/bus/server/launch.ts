/** Runs a local nats-server as a child that never outlives its parent. */
import { serverConfigText } from "./config.ts";
import type { ServerUser } from "./config.ts";

/** How to start a server. */
export interface LaunchOptions {
  /** Path of the nats-server executable. */
  executable: string;
  /** Folder for the configuration and the streams. */
  stateDir: string;
  users: readonly ServerUser[];
  /** Loopback address. Default `127.0.0.1`. */
  host?: string;
  /** Port; default any free one. */
  port?: number;
  /** Milliseconds until the server must be ready. Default 15,000. */
  timeout?: number;
}

/** A running server. */
export interface LaunchedServer {
  /** `nats://127.0.0.1:<port>`. */
  url: string;
  port: number;
  /** Resolves when the server has ended, for whatever reason. */
  exited: Promise<void>;
  /** Asks the server to end and waits for it. Idempotent. */
  stop(): Promise<void>;
  /** Kills it at once, as a crash would. */
  kill(): Promise<void>;
}

/** The server did not start; the message holds the end of its log. */
export class LaunchError extends Error {
  override name = "LaunchError";
}

/**
 * The shell that stands between: it ends the server when our end of its standard input closes,
 * which happens however this process ends, kill -9 included. Its first output line is the
 * server's pid.
 */
const WATCHDOG = `
exec 3<&0
"$@" </dev/null &
server=$!
echo "$server"
( read -r _ <&3; kill -TERM "$server" ) 2>/dev/null &
watchdog=$!
exec 3<&-
wait "$server"
kill "$watchdog" 2>/dev/null
`;

/** Starts a server and resolves when it accepts connections. */
export async function launchServer(options: LaunchOptions): Promise<LaunchedServer> {
  const { executable, stateDir, users, host = "127.0.0.1", port = -1, timeout = 15_000 } = options;
  const configPath = `${stateDir}/nats-server.conf`;
  await Deno.mkdir(stateDir, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(
    configPath,
    serverConfigText({ host, port, storeDir: `${stateDir}/jetstream`, users }),
    { mode: 0o600 },
  );
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", WATCHDOG, "nats-server-watchdog", executable, "-c", configPath],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  const pid = firstLine(child.stdout);
  const log = readLog(child.stderr);
  let ended = false;
  const exited = child.status.then(async () => {
    ended = true;
    await input.close().catch(() => {});
    await log.finished;
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listening = await Promise.race([
    log.listening,
    exited.then(() => undefined),
    new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), timeout)),
  ]);
  clearTimeout(timer);
  const end = async (signal: Deno.Signal) => {
    try {
      const server = Number(await pid);
      // 0 is our own process group, and the number of a process that ended may be another's now.
      if (!ended && Number.isInteger(server) && server > 1) Deno.kill(server, signal);
      else if (!ended) child.kill(signal);
    } catch {
      // It has ended already.
    }
    await exited;
  };
  if (listening === undefined) {
    await end("SIGKILL");
    throw new LaunchError(`${executable} did not start: ${log.tail().join(" | ")}`);
  }
  return {
    url: `nats://${host}:${listening}`,
    port: listening,
    exited,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
}

/** The first line of a stream; the rest is read and dropped. */
function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new Promise((resolve) => {
    (async () => {
      let text = "";
      for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
        if (text.includes("\n")) continue;
        text += chunk;
        if (text.includes("\n")) resolve(text.split("\n")[0] as string);
      }
      resolve(text);
    })();
  });
}

const LISTENING = /Listening for client connections on \S+:(\d+)/;
const READY = /Server is ready/;
const TAIL_LINES = 5;

/** Follows the log: resolves `listening` with the port once the server says that it is ready. */
function readLog(stream: ReadableStream<Uint8Array>) {
  const lines: string[] = [];
  let port: number | undefined;
  let ready: (port: number) => void = () => {};
  const listening = new Promise<number>((resolve) => ready = resolve);
  const finished = (async () => {
    let rest = "";
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        lines.push(line);
        if (lines.length > TAIL_LINES) lines.shift();
        const found = LISTENING.exec(line)?.[1];
        if (found !== undefined) port = Number(found);
        if (port !== undefined && READY.test(line)) ready(port);
      }
    }
  })();
  return { listening, finished, tail: () => lines };
}
