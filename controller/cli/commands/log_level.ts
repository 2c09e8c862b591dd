import { Argument, Command } from "commander";
import { LOG_LEVELS } from "../../../shared/lib/log.ts";
import { withStackOptions } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { withStack } from "../running_stack.ts";

/** `lgw log-level`. */
export function logLevelCommand(): Command {
  return withStackOptions(new Command("log-level"))
    .description("Changes what the running processes log, at once, until they end.")
    .addArgument(new Argument("<level>", "the least that is written").choices(LOG_LEVELS))
    .action(async (level: string, options: Pick<CommonOptions, "stack" | "cluster">) => {
      const count = await withStack(options, async ({ controllerAdmin, proxyAdmins }) => {
        for (const admin of [controllerAdmin, ...proxyAdmins]) {
          const response = await fetch(`${admin}/log_level?level=${level}`, { method: "PUT" });
          const text = await response.text();
          if (!response.ok) throw new Error(`${admin}: ${text.trim()}`);
        }
        return 1 + proxyAdmins.length;
      });
      console.log(`${count} processes log at ${level}`);
    });
}
