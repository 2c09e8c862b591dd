/** `lgw`: asks a running gateway, or manifests alone. */
import { Command, InvalidArgumentError, Option } from "commander";
import { compileTable } from "../../shared/dataplane/table/compile.ts";
import type { RouteTable } from "../../shared/dataplane/table/types.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import { errorMessage } from "../../shared/lib/log.ts";
import { parseStatusReport } from "../status_report.ts";
import { explainRequest } from "./explain.ts";
import { showHistory } from "./history.ts";
import { compileManifests } from "./manifests.ts";
import { parseFormat } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";
import { parseRequest } from "./request_argument.ts";
import { findStack, readHistory, readTables } from "./running_stack.ts";
import { showStatus } from "./status.ts";
import { validateManifests } from "./validate.ts";

/** Usage errors and stacks that cannot be reached. */
const EXIT_FAILED = 2;

const collect = (value: string, previous: string[] = []) => [...previous, value];

function formatOption(): Option {
  return new Option("-o, --output <format>", "text or json").default("text").argParser((text) => {
    try {
      return parseFormat(text);
    } catch (error) {
      throw new InvalidArgumentError(errorMessage(error));
    }
  });
}

function stackOption(): Option {
  return new Option("--stack <file>", "stack.json of the stack to ask; default: the one that runs");
}

function finish({ output, exitCode }: CommandResult): void {
  console.log(output);
  Deno.exitCode = exitCode;
}

/** The tables of manifests on disk; version 0 because nothing was published. */
async function tablesOf(paths: readonly string[]): Promise<RouteTable[]> {
  const { result } = await compileManifests(paths);
  return [...result.scopes].map(([scope, { resources }]) =>
    compileTable({ scope, version: 0, digest: "", resources })
  );
}

interface Common {
  output: OutputFormat;
  stack?: string;
}

function program(): Command {
  const lgw = new Command("lgw")
    // Before the commands are added: they inherit it.
    .exitOverride((error) => Deno.exit(error.exitCode === 0 ? 0 : EXIT_FAILED))
    .description(
      "Asks a running gateway, or manifests alone.\n\n" +
        "A running stack is found by itself (deno task run); commands that take -f need none.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  lgw status                                     what the controller thinks of every object\n" +
        "  lgw explain http://shop.example.com/api/v1/x   which route gets it, and why not the others\n" +
        "  lgw explain -f manifests/ https://a.example/   the same, before applying anything\n" +
        "  lgw validate -f manifests/                     what would be wrong; exit code 1 if anything is\n" +
        "  lgw history --gateway quickstart/public        published versions and what caused them\n" +
        "\nFrom a checkout: deno task cli <command>. Exit codes: 0 yes, 1 no, 2 could not tell.",
    );

  lgw.command("status")
    .description(
      "Conditions of every object, proxies with the versions they serve, problems in manifests.",
    )
    .addOption(formatOption())
    .addOption(stackOption())
    .option("-a, --all", "every condition, those of listeners too", false)
    .addHelpText("after", "\nExit code 1 when an object has a problem or no proxy is ready.")
    .action(async ({ output, stack, all }: Common & { all: boolean }) => {
      const { controllerAdmin } = await findStack(stack, Deno.env);
      const report = parseStatusReport(await fetchJson(`${controllerAdmin}/status`));
      finish(showStatus(report, { format: output, all }));
    });

  lgw.command("explain")
    .description(
      "Where a request goes: listener, route, rule, match, filters and backends; and for every " +
        "other candidate the first predicate that failed.",
    )
    .argument("<url>", "as a client would send it; the port is the Gateway's declared one")
    .addOption(formatOption())
    .addOption(stackOption())
    .option("-X, --method <method>", "request method", "GET")
    .option("-H, --header <line>", "request header, repeatable", collect, [])
    .option("-g, --gateway <namespace/name>", "only this Gateway")
    .option("-f, --file <path>", "manifests instead of the running stack, repeatable", collect, [])
    .addHelpText(
      "after",
      "\nExample:\n  lgw explain -H 'x-beta: true' http://shop.example.com/cart\n" +
        "\nThe decision is made by the function that proxies call, on the verified snapshot.",
    )
    .action(async (
      url: string,
      options: Common & { method: string; header: string[]; gateway?: string; file: string[] },
    ) => {
      const { output, stack, gateway, file } = options;
      const asked = parseRequest(url, options);
      const tables = file.length === 0
        ? await readTables(await findStack(stack, Deno.env))
        : await tablesOf(file);
      finish(explainRequest(tables, {
        asked,
        format: output,
        ...(gateway === undefined ? {} : { scope: gateway }),
      }));
    });

  lgw.command("history")
    .description("The versions that were published, newest last, and the objects that caused them.")
    .addOption(formatOption())
    .addOption(stackOption())
    .option("-g, --gateway <namespace/name>", "only this Gateway")
    .option("-n, --limit <count>", "newest versions to show", "20")
    .action(async (options: Common & { gateway?: string; limit: string }) => {
      const { output, stack, gateway } = options;
      const limit = Number(options.limit);
      if (!Number.isInteger(limit) || limit < 1) throw new TypeError("--limit: expected 1 or more");
      const entries = await readHistory(await findStack(stack, Deno.env));
      finish(showHistory(entries, {
        format: output,
        limit,
        ...(gateway === undefined ? {} : { gateway }),
      }));
    });

  lgw.command("validate")
    .description(
      "Checks manifests without a cluster or a stack: schema, references, conflicts, and what the " +
        "conditions of every object would say.",
    )
    .option("-f, --file <path>", "file or folder, repeatable", collect, [])
    .addOption(formatOption())
    .addHelpText("after", "\nExit code 1 when something is wrong; warnings alone are 0.")
    .action(async ({ output, file }: Common & { file: string[] }) => {
      if (file.length === 0) throw new TypeError("-f: name a file or folder of manifests");
      finish(validateManifests(await compileManifests(file), { format: output }));
    });
  return lgw;
}

if (import.meta.main) {
  try {
    await program().parseAsync([...Deno.args], { from: "user" });
  } catch (error) {
    console.error(`lgw: ${errorMessage(error)}`);
    Deno.exit(EXIT_FAILED);
  }
}
