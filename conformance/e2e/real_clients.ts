/** Clients and servers that others wrote, as processes. */
import { debianProgram } from "../programs/debian.ts";
import { GO_PROGRAMS, goProgram } from "../programs/go.ts";
import type { Program } from "../programs/program.ts";
import { type CommandResult, runCommand } from "../../shared/lib/run_command.ts";
import { outputOf } from "./process_output.ts";
import { within } from "./wait.ts";

const options = { env: Deno.env, onProgress: (line: string) => console.error(line) };
const debian = (name: string, file: string, package_ = name) => () =>
  debianProgram(name, { ...options, file, package: package_ });

const PROGRAMS = {
  "dig": debian("dig", "usr/bin/dig", "bind9-dnsutils"),
  "ghz": () => goProgram(GO_PROGRAMS.ghz, options),
  "grpcurl": () => goProgram(GO_PROGRAMS.grpcurl, options),
  "openssl": debian("openssl", "usr/bin/openssl"),
  "redis-cli": debian("redis-cli", "usr/bin/redis-cli", "redis-server"),
  "redis-server": debian("redis-server", "usr/bin/redis-server"),
} satisfies Record<string, () => Promise<Program>>;

export type ProgramName = keyof typeof PROGRAMS;

/** The program; fetched or built once when this machine has none, which may take minutes. */
export function realProgram(name: ProgramName): Promise<Program> {
  return PROGRAMS[name]();
}

export interface RealClientOptions {
  stdin?: string;
  /** A failure is returned instead of thrown. */
  mayFail?: boolean;
}

/** Milliseconds that a client may take: a bound for one that hangs. */
const CLIENT_BOUND = 20_000;

/** Runs a client to its end. */
export async function runClient(
  name: ProgramName,
  args: readonly string[],
  more: RealClientOptions = {},
): Promise<CommandResult> {
  const { path, env } = await realProgram(name);
  return await runCommand([path, ...args], { env, timeout: CLIENT_BOUND, ...more });
}

/** A program that runs until it is stopped. */
export interface RealProcess {
  /** What it printed so far. */
  readonly output: string;
  stop(): Promise<void>;
}

export async function startProgram(
  name: ProgramName,
  args: readonly string[],
): Promise<RealProcess> {
  const { path, env } = await realProgram(name);
  const process = new Deno.Command(path, {
    args: [...args],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = outputOf(process);
  let ended = false;
  const status = process.status.then(() => ended = true);
  return {
    get output() {
      return output.text;
    },
    stop: async () => {
      if (!ended) process.kill("SIGKILL");
      await within(`${name} ends`, status);
      await output.ended;
    },
  };
}
