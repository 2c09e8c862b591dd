import { Command } from "commander";
import { compileTable } from "../../../shared/dataplane/table/compile.ts";
import type { RouteTable } from "../../../shared/dataplane/table/types.ts";
import { collect, finish, formatOption, withStackOptions } from "../common_options.ts";
import type { CommonOptions } from "../common_options.ts";
import { explainRequest } from "../explain.ts";
import { compileManifests } from "../manifests.ts";
import { parseRequest } from "../request_argument.ts";
import { readTables, withStack } from "../running_stack.ts";

interface ExplainOptions extends CommonOptions {
  method: string;
  header: string[];
  gateway?: string;
  file: string[];
}

/** `lgw explain`. */
export function explainCommand(): Command {
  return withStackOptions(new Command("explain"))
    .description(
      "Where a request goes: listener, route, rule, match, filters and backends; and for every " +
        "other candidate the first predicate that failed.",
    )
    .argument("<url>", "as a client would send it; the port is the Gateway's declared one")
    .addOption(formatOption())
    .option("-X, --method <method>", "request method", "GET")
    .option("-H, --header <line>", "request header, repeatable", collect, [])
    .option("-g, --gateway <namespace/name>", "only this Gateway")
    .option("-f, --file <path>", "manifests instead of the running stack, repeatable", collect, [])
    .addHelpText(
      "after",
      "\nExample:\n  lgw explain -H 'x-beta: true' http://shop.example.com/cart\n" +
        "\nThe decision is made by the function that proxies call, on the verified snapshot.",
    )
    .action(async (url: string, options: ExplainOptions) => {
      const { output, gateway, file } = options;
      const asked = parseRequest(url, options);
      const tables = file.length === 0
        ? await withStack(options, readTables)
        : await tablesOf(file);
      finish(explainRequest(tables, {
        asked,
        format: output,
        ...(gateway === undefined ? {} : { scope: gateway }),
      }));
    });
}

/** The tables of manifests on disk; version 0 because nothing was published. */
async function tablesOf(paths: readonly string[]): Promise<RouteTable[]> {
  const { result } = await compileManifests(paths);
  return [...result.scopes].map(([scope, { resources }]) =>
    compileTable({ scope, version: 0, digest: "", resources })
  );
}
