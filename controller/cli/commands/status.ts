import { Command } from "commander";
import { finish, formatOption, withStackOptions } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { readStatus, withStack } from "../running_stack.ts";
import { showStatus } from "../status.ts";

/** `lgw status`. */
export function statusCommand(): Command {
  return withStackOptions(new Command("status"))
    .description(
      "Conditions of every object, proxies with the versions they serve, problems in manifests.",
    )
    .addOption(formatOption())
    .option("-a, --all", "every condition, those of listeners too", false)
    .addHelpText("after", "\nExit code 1 when an object has a problem or no proxy is ready.")
    .action(async (options: CommonOptions & { all: boolean }) => {
      const { output, all } = options;
      finish(showStatus(await withStack(options, readStatus), { format: output, all }));
    });
}
