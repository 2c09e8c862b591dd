/** Options that commands share, and how a command ends. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { errorMessage } from "../../shared/lib/log.ts";
import { OUTPUT_FORMATS, parseFormat } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";

export interface CommonOptions {
  output: OutputFormat;
  stack?: string;
  cluster?: true;
}

/** Gathers a repeatable option. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/** `-o`: how the answer is printed. */
export function formatOption(): Option {
  const option = new Option("-o, --output <format>", OUTPUT_FORMATS.join(", ")).default("table")
    .argParser((text) => {
      try {
        return parseFormat(text);
      } catch (error) {
        throw new InvalidArgumentError(errorMessage(error));
      }
    });
  // For completion; `choices()` would replace the parser and its message.
  option.argChoices = [...OUTPUT_FORMATS];
  return option;
}

/** `--stack`, `--cluster`: which gateway is asked. */
export function withStackOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--stack <file>", "stack.json of the stack to ask; default: the one that runs"),
    )
    .addOption(
      new Option("--cluster", "ask the gateway in the cluster of the current kubeconfig")
        .conflicts("stack"),
    );
}

/** Prints what a command found and says by the exit code how it was. */
export function finish({ output, exitCode }: CommandResult): void {
  console.log(output);
  Deno.exitCode = exitCode;
}
