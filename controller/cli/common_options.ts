/** Options that commands share, and how a command ends. */
import { InvalidArgumentError, Option } from "commander";
import { errorMessage } from "../../shared/lib/log.ts";
import { OUTPUT_FORMATS, parseFormat } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";

export interface CommonOptions {
  output: OutputFormat;
  stack?: string;
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

/** `--stack`: which running stack is asked. */
export function stackOption(): Option {
  return new Option("--stack <file>", "stack.json of the stack to ask; default: the one that runs");
}

/** Prints what a command found and says by the exit code how it was. */
export function finish({ output, exitCode }: CommandResult): void {
  console.log(output);
  Deno.exitCode = exitCode;
}
