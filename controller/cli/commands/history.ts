import { Command } from "commander";
import { finish, formatOption, withStackOptions } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { showHistory } from "../history.ts";
import { readHistory, withStack } from "../running_stack.ts";

/** `lgw history`. */
export function historyCommand(): Command {
  return withStackOptions(new Command("history"))
    .description("The versions that were published, newest last, and the objects that caused them.")
    .addOption(formatOption())
    .option("-g, --gateway <namespace/name>", "only this Gateway")
    .option("-n, --limit <count>", "newest versions to show", "20")
    .action(async (options: CommonOptions & { gateway?: string; limit: string }) => {
      const { output, gateway } = options;
      const limit = Number(options.limit);
      if (!Number.isInteger(limit) || limit < 1) throw new TypeError("--limit: expected 1 or more");
      const entries = await withStack(options, readHistory);
      finish(showHistory(entries, {
        format: output,
        limit,
        ...(gateway === undefined ? {} : { gateway }),
      }));
    });
}
