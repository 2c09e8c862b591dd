import { Command } from "commander";
import { fetchJson } from "../../../shared/lib/fetch_json.ts";
import { parseStatusReport } from "../../status_report.ts";
import { finish, formatOption, stackOption } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { showProxies } from "../proxies.ts";
import { findStack } from "../running_stack.ts";

/** `lgw proxies`. */
export function proxiesCommand(): Command {
  return new Command("proxies")
    .description("Every proxy: ready or not, and for each Gateway what it serves and should serve.")
    .addOption(formatOption())
    .addOption(stackOption())
    .addHelpText(
      "after",
      "\nExit code 1 unless every proxy is ready and serves the newest version.",
    )
    .action(async ({ output, stack }: CommonOptions) => {
      const { controllerAdmin } = await findStack(stack, Deno.env);
      const report = parseStatusReport(await fetchJson(`${controllerAdmin}/status`));
      finish(showProxies(report, { format: output }));
    });
}
