import { Command } from "commander";
import { collect, finish, formatOption } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { compileManifests } from "../manifests.ts";
import { validateManifests } from "../validate.ts";

/** `lgw validate`. */
export function validateCommand(): Command {
  return new Command("validate")
    .description(
      "Checks manifests without a cluster or a stack: schema, references, conflicts, and what the " +
        "conditions of every object would say.",
    )
    .option("-f, --file <path>", "file or folder, repeatable", collect, [])
    .addOption(formatOption())
    .addHelpText("after", "\nExit code 1 when something is wrong; warnings alone are 0.")
    .action(async ({ output, file }: CommonOptions & { file: string[] }) => {
      if (file.length === 0) throw new TypeError("-f: name a file or folder of manifests");
      finish(validateManifests(await compileManifests(file), { format: output }));
    });
}
