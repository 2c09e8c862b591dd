/** Runs a program to its end and reads what it printed. */

/** What a program left. */
export interface CommandResult {
  success: boolean;
  stdout: string;
  stderr: string;
}

/** How a program is run. */
export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Text for its standard input. */
  stdin?: string;
  /** A failure is returned instead of thrown. */
  mayFail?: boolean;
  /** Milliseconds until it is ended; five minutes when absent. */
  timeout?: number;
}

/** A program failed; the message holds its last lines. */
export class CommandError extends Error {
  override name = "CommandError";
}

/**
 * Runs `command` (program and arguments) and returns what it printed.
 * Throws {@linkcode CommandError} when it fails and may not.
 */
export async function runCommand(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const [program = "", ...args] = command;
  const signal = AbortSignal.timeout(options.timeout ?? 300_000);
  let result: CommandResult;
  try {
    const child = new Deno.Command(program, {
      args,
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      signal,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    }).spawn();
    const fed = options.stdin === undefined ? undefined : feed(child.stdin, options.stdin);
    const output = await child.output();
    await fed;
    const decoder = new TextDecoder();
    result = {
      success: output.success,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    result = { success: false, stdout: "", stderr: `${program}: not found on this machine` };
  }
  if (!result.success && options.mayFail !== true) {
    const said = (result.stderr.trim() || result.stdout.trim()).split("\n").slice(-8).join("\n");
    throw new CommandError(`${command.slice(0, 4).join(" ")} failed: ${said || "no output"}`);
  }
  return result;
}

async function feed(stdin: WritableStream<Uint8Array<ArrayBuffer>>, text: string): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // The program ended without reading all of it; its exit code says whether that matters.
  }
}
