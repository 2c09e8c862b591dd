import { Argument, Command } from "commander";
import { LOG_LEVELS } from "../../../shared/lib/log.ts";
import { stackOption } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { findStack } from "../running_stack.ts";

/** `lgw log-level`. */
export function logLevelCommand(): Command {
  return new Command("log-level")
    .description("Changes what the running processes log, at once, until they end.")
    .addArgument(new Argument("<level>", "the least that is written").choices(LOG_LEVELS))
    .addOption(stackOption())
    .action(async (level: string, { stack }: Pick<CommonOptions, "stack">) => {
      const { controllerAdmin, proxyAdmins } = await findStack(stack, Deno.env);
      for (const admin of [controllerAdmin, ...proxyAdmins]) {
        const response = await fetch(`${admin}/log_level?level=${level}`, { method: "PUT" });
        const text = await response.text();
        if (!response.ok) throw new Error(`${admin}: ${text.trim()}`);
      }
      console.log(`${1 + proxyAdmins.length} processes log at ${level}`);
    });
}
