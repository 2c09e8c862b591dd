import { Command } from "commander";
import { fetchJson } from "../../../shared/lib/fetch_json.ts";
import { parseStatusReport } from "../../status_report.ts";
import { finish, formatOption, stackOption } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { findStack } from "../running_stack.ts";
import { showStatus } from "../status.ts";

/** `lgw status`. */
export function statusCommand(): Command {
  return new Command("status")
    .description(
      "Conditions of every object, proxies with the versions they serve, problems in manifests.",
    )
    .addOption(formatOption())
    .addOption(stackOption())
    .option("-a, --all", "every condition, those of listeners too", false)
    .addHelpText("after", "\nExit code 1 when an object has a problem or no proxy is ready.")
    .action(async ({ output, stack, all }: CommonOptions & { all: boolean }) => {
      const { controllerAdmin } = await findStack(stack, Deno.env);
      const report = parseStatusReport(await fetchJson(`${controllerAdmin}/status`));
      finish(showStatus(report, { format: output, all }));
    });
}
