import { Argument, Command } from "commander";
import { completionScript, SHELLS } from "../completion.ts";
import type { Shell } from "../completion.ts";

/** `lgw completion`; `root` is what can be completed. */
export function completionCommand(root: Command): Command {
  return new Command("completion")
    .description("Prints a script that completes lgw's commands and options.")
    .addArgument(new Argument("<shell>", "which shell").choices(SHELLS))
    .addHelpText("after", "\nExample:\n  source <(lgw completion bash)")
    .action((shell: Shell) => console.log(completionScript(root, shell)));
}
