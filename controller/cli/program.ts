/** All commands of `lgw`. */
import { Command } from "commander";
import { completionCommand } from "./commands/completion.ts";
import { explainCommand } from "./commands/explain.ts";
import { historyCommand } from "./commands/history.ts";
import { logLevelCommand } from "./commands/log_level.ts";
import { proxiesCommand } from "./commands/proxies.ts";
import { statusCommand } from "./commands/status.ts";
import { validateCommand } from "./commands/validate.ts";

/** Usage errors and stacks that cannot be reached. */
export const EXIT_FAILED = 2;

/** The command line as a tree; parsing it runs a command. */
export function lgwProgram(): Command {
  const lgw = new Command("lgw");
  lgw
    .description(
      "Asks a running gateway, or manifests alone.\n\n" +
        "A running stack is found by itself (deno task run); commands that take -f need none.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  lgw status                                     what the controller thinks of every object\n" +
        "  lgw proxies                                    who serves which version\n" +
        "  lgw explain http://shop.example.com/api/v1/x   which route gets it, and why not the others\n" +
        "  lgw explain -f manifests/ https://a.example/   the same, before applying anything\n" +
        "  lgw validate -f manifests/                     what would be wrong; exit code 1 if anything is\n" +
        "  lgw history --gateway quickstart/public        published versions and what caused them\n" +
        "  lgw log-level debug                            more in the log, without a restart\n" +
        "  lgw status --cluster                           the same of the gateway in a cluster\n" +
        "\nFrom a checkout: deno task cli <command>. Exit codes: 0 yes, 1 no, 2 could not tell.",
    );
  const commands = [
    statusCommand(),
    proxiesCommand(),
    explainCommand(),
    historyCommand(),
    validateCommand(),
    logLevelCommand(),
    completionCommand(lgw),
  ];
  for (const command of commands) {
    lgw.addCommand(
      command.exitOverride((error) => Deno.exit(error.exitCode === 0 ? 0 : EXIT_FAILED)),
    );
  }
  return lgw.exitOverride((error) => Deno.exit(error.exitCode === 0 ? 0 : EXIT_FAILED));
}
