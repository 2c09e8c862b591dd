/** `deno task conformance`: the official suite against the current cluster, and what it showed. */
import { BUNDLE_VERSION, FEATURES } from "../../controller/features.ts";
import { FileLock } from "../../shared/lib/file_lock.ts";
import { ensureBinary } from "../cluster/binaries.ts";
import type { Channel } from "../cluster/gateway_api.ts";
import { clusterPaths, currentKubeconfig } from "../cluster/paths.ts";
import { KUBERNETES_VERSION } from "../cluster/versions.ts";
import { parseConformanceArguments, USAGE, UsageError } from "./arguments.ts";
import { parseClaims, planRun } from "./claims.ts";
import { explain } from "./condense.ts";
import { removeLeftovers, requireChannel, requireGatewayClass } from "./gateway_class.ts";
import { countProfiles, shortfalls } from "./outcome.ts";
import { reportFolder, reportName, reportsReadme } from "./report_files.ts";
import { type Run, runSuite } from "./run_suite.ts";
import { profileTables, slowestTable } from "./tables.ts";
import { ensureTestBinary } from "./test_binary.ts";

/** Lines of a failed test that are shown; the log has all. */
const SHOWN_LINES = 25;

const root = new URL("../../", import.meta.url).pathname;
const print = (line: string) => console.log(line);

/** Runs what the command line asks for; true when nothing is less than claimed. */
async function main(): Promise<boolean> {
  if (Deno.args.includes("--help")) {
    print(USAGE);
    return true;
  }
  const options = parseConformanceArguments(Deno.args);
  const paths = clusterPaths(Deno.env, { kubernetes: KUBERNETES_VERSION });
  const { path: kubeconfig, foreign } = currentKubeconfig(Deno.env, paths);
  const cluster = { ...paths, kubeconfig };
  const claims = parseClaims(await Deno.readTextFile(`${root}conformance/profiles.yaml`));
  await ensureBinary("kubectl", { paths, onProgress: print });
  const binary = await ensureTestBinary({
    cache: paths.cache,
    version: BUNDLE_VERSION,
    onProgress: print,
  });
  const claimed = FEATURES.map(({ name }) => name);
  const plan = planRun(options, { catalog: binary.catalog, claims, claimed });
  const channel = await requireChannel(options.channel, {
    paths: cluster,
    foreign,
    version: BUNDLE_VERSION,
    onProgress: print,
  });
  // The suite's objects have fixed names: two runs on one cluster would spoil each other.
  const lock = await FileLock.acquire(`${paths.cache}/conformance.lock`);
  if (lock === undefined) {
    throw new Error("another conformance run is under way: try again when it has ended");
  }
  if (!options.keep) await removeLeftovers(cluster);
  await requireGatewayClass(options.gatewayClass, {
    paths: cluster,
    seconds: options.classTimeout,
  });
  const version = await ourVersion();
  let good = true;
  for (let i = 1; i <= options.repeat; i++) {
    print(
      `run ${i} of ${options.repeat}: ${
        plan.profiles.join(", ")
      }; ${plan.expected.length} tests, ` +
        `${plan.features.length} features, ${channel} channel`,
    );
    const folder = `${paths.cache}/conformance-runs/${stamp(new Date())}-${i}`;
    await Deno.mkdir(folder, { recursive: true });
    const run = await runSuite({
      binary: binary.path,
      kubeconfig,
      plan,
      options,
      version,
      folder,
      onResult: ({ name, outcome, seconds }) => {
        if (outcome === "skipped" && !plan.expected.includes(name)) return;
        print(`  ${outcome.padEnd(7)} ${name} (${seconds.toFixed(1)} s)`);
      },
    });
    const results = run.events.results;
    const less = shortfalls(results, { catalog: binary.catalog, plan, claims });
    // Set-up and clean-up can fail beside every test.
    if (!run.success && less.length === 0) less.push("the suite itself failed: see its log");
    explainFailures(run);
    print("");
    for (const line of profileTables(countProfiles(results, { catalog: binary.catalog, plan }))) {
      print(line);
    }
    for (const line of slowestTable(results)) print(line);
    const { whole, setUp, cleanUp } = run.seconds;
    print(
      `\n${whole.toFixed(0)} s, of which set-up ${setUp.toFixed(0)} s and clean-up ` +
        `${cleanUp.toFixed(0)} s; log: ${run.log}`,
    );
    if (plan.whole && run.report !== undefined && results.length > 0) {
      await saveReport(run.report, { channel, version, run: i, claimedShown: less.length === 0 });
    } else if (run.report !== undefined) print(`report of a part: ${run.report}`);
    for (const line of less) print(`less than claimed: ${line}`);
    if (less.length > 0) good = false;
  }
  lock.release();
  return good;
}

/** Shows the last lines of what failed. */
function explainFailures({ events }: Run): void {
  const failed = events.results.filter(({ outcome }) => outcome === "failed");
  for (const { name } of failed) {
    print(`\nFAILED ${name}`);
    for (const line of explain(events.outputOf(name)).slice(-SHOWN_LINES)) print(`  ${line}`);
  }
  if (failed.length === 0 && events.ended !== "passed") {
    print("\nFAILED outside of the tests");
    for (const line of explain(events.outputOf(undefined)).slice(-SHOWN_LINES)) print(`  ${line}`);
  }
}

/**
 * Keeps a report: each run's below `runs`, and under the name that the upstream project prescribes
 * only when it shows what is claimed. The file is not touched.
 */
async function saveReport(
  report: string,
  options: { channel: Channel; version: string; run: number; claimedShown: boolean },
): Promise<void> {
  const { channel, version, run, claimedShown } = options;
  const folder = `${root}conformance/reports/${reportFolder({ gatewayApi: BUNDLE_VERSION })}`;
  const name = reportName({ channel, version });
  const runs = `${folder}-runs`;
  await Deno.mkdir(runs, { recursive: true });
  const kept = `${runs}/${name.replace("-report.yaml", `-run-${run}.yaml`)}`;
  await Deno.copyFile(report, kept);
  print(`report: ${kept.slice(root.length)}`);
  if (!claimedShown) return;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.copyFile(report, `${folder}/${name}`);
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry.name);
  await Deno.writeTextFile(`${folder}/README.md`, reportsReadme(names));
  print(`report: ${folder.slice(root.length)}/${name}`);
}

/** The version in deno.json, as the tag of a release. */
async function ourVersion(): Promise<string> {
  const config: unknown = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  if (typeof config === "object" && config !== null && "version" in config) {
    if (typeof config.version === "string") return `v${config.version}`;
  }
  throw new Error("deno.json: version: expected the version of the release");
}

/** A time as a name of a folder, `20260131T235959Z`. */
function stamp(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d+/g, "");
}

try {
  Deno.exit(await main() ? 0 : 1);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError) console.error(`\n${USAGE}`);
  Deno.exit(error instanceof UsageError ? 2 : 1);
}
