/** The command line of `deno task cluster`. */
import { COMPONENT_NAMES, type ComponentName, isComponentName } from "./components.ts";
import { type Channel, CHANNELS, isChannel } from "./gateway_api.ts";

/** What the user asked for. */
export type ClusterCommand =
  | { command: "up"; channel: Channel }
  | { command: "down" }
  | { command: "status" }
  | { command: "load"; archives: string[] }
  | { command: "restart"; component: ComponentName; kill: boolean; pause: number };

export const USAGE = `deno task cluster <command>

  up [--channel standard|experimental]  a one-node Kubernetes on this machine (experimental)
  down                                  take it down again; built programs are kept
  status                                what runs
  load <archive.tar> ...                import images (docker archive, or OCI layout as tar)
  restart <component> [--kill] [--pause SECONDS]
                                        end a component (KILL instead of TERM), wait, start it again
                                        (${COMPONENT_NAMES.join(", ")})`;

const MAX_PAUSE = 600;

/** A command line that cannot be understood; the message says which word. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Reads the command line. Throws {@linkcode UsageError}. */
export function parseClusterArguments(args: readonly string[]): ClusterCommand {
  const [command, ...rest] = args;
  switch (command) {
    case "up": {
      const { words, values } = split(rest, { flags: [], values: ["--channel"] });
      nothingElse(command, words);
      const channel = values["--channel"] ?? "experimental";
      if (isChannel(channel)) return { command, channel };
      throw new UsageError(`--channel ${channel}: expected one of ${CHANNELS.join(", ")}`);
    }
    case "down":
    case "status":
      nothingElse(command, rest);
      return { command };
    case "load": {
      const { words } = split(rest, { flags: [], values: [] });
      if (words.length === 0) throw new UsageError("load: name at least one archive");
      return { command, archives: words };
    }
    case "restart": {
      const { words, flags, values } = split(rest, { flags: ["--kill"], values: ["--pause"] });
      const [component = "", ...others] = words;
      nothingElse(command, others);
      if (!isComponentName(component)) {
        throw new UsageError(`restart ${component}: expected one of ${COMPONENT_NAMES.join(", ")}`);
      }
      const pause = Number(values["--pause"] ?? "0");
      if (!(pause >= 0 && pause <= MAX_PAUSE)) {
        throw new UsageError(`--pause: expected seconds from 0 to ${MAX_PAUSE}`);
      }
      return { command, component, kill: flags.includes("--kill"), pause };
    }
    default:
      throw new UsageError(command === undefined ? "name a command" : `there is no ${command}`);
  }
}

function nothingElse(command: string, words: readonly string[]): void {
  if (words[0] !== undefined) throw new UsageError(`${command}: ${words[0]} is not understood`);
}

function split(
  args: readonly string[],
  known: { flags: readonly string[]; values: readonly string[] },
): { words: string[]; flags: string[]; values: Record<string, string> } {
  const words: string[] = [];
  const flags: string[] = [];
  const values: Record<string, string> = {};
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (known.flags.includes(arg)) flags.push(arg);
    else if (known.values.includes(arg)) {
      const value = args[++i];
      if (value === undefined) throw new UsageError(`${arg}: a value is missing`);
      values[arg] = value;
    } else if (arg.startsWith("-")) throw new UsageError(`${arg} is not understood`);
    else words.push(arg);
  }
  return { words, flags, values };
}
