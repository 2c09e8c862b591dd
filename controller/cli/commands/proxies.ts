import { Command } from "commander";
import { finish, formatOption, withStackOptions } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { showProxies } from "../proxies.ts";
import { readStatus, withStack } from "../running_stack.ts";

/** `lgw proxies`. */
export function proxiesCommand(): Command {
  return withStackOptions(new Command("proxies"))
    .description("Every proxy: ready or not, and for each Gateway what it serves and should serve.")
    .addOption(formatOption())
    .addHelpText(
      "after",
      "\nExit code 1 unless every proxy is ready and serves the newest version.",
    )
    .action(async (options: CommonOptions) => {
      const report = await withStack(options, readStatus);
      finish(showProxies(report, { format: options.output }));
    });
}
