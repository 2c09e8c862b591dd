/** One run of the compiled suite: its command line, its events, its report. */
import { GO_TOOLCHAIN } from "../cluster/versions.ts";
import type { ConformanceOptions } from "./arguments.ts";
import type { Plan } from "./claims.ts";
import { IMPLEMENTATION } from "./report_files.ts";
import { TestEvents, type TestResult } from "./test_events.ts";

/** What a run needs. */
export interface RunOptions {
  binary: string;
  kubeconfig: string;
  plan: Plan;
  options: ConformanceOptions;
  /** Our release, with its `v`. */
  version: string;
  /** Where the log, the events and the report of this run go; exists. */
  folder: string;
  /** Told of every test that ended. */
  onResult: (result: TestResult) => void;
}

/** What a run left. */
export interface Run {
  events: TestEvents;
  success: boolean;
  /** Of the whole run; until the first test; after the last one. */
  seconds: { whole: number; setUp: number; cleanUp: number };
  /** The report, when the suite came so far as to write one. */
  report: string | undefined;
  log: string;
}

/** The suite's flags for a plan (its `utils/flags`). */
export function suiteFlags(
  plan: Plan,
  settings: { options: ConformanceOptions; version: string; report: string },
): string[] {
  const { options, version, report } = settings;
  const flags = [
    "-test.run=^TestConformance$",
    "-test.v=test2json",
    `-test.timeout=${options.timeout}m`,
    `-test.parallel=${options.parallel}`,
    `--gateway-class=${options.gatewayClass}`,
    `--conformance-profiles=${plan.profiles.join(",")}`,
    `--supported-features=${plan.features.join(",")}`,
    `--organization=${IMPLEMENTATION.organization}`,
    `--project=${IMPLEMENTATION.project}`,
    `--url=${IMPLEMENTATION.url}`,
    `--contact=${IMPLEMENTATION.contact}`,
    `--version=${version}`,
    `--report-output=${report}`,
    `--usable-address=${options.usableAddress}`,
    `--unusable-address=${options.unusableAddress}`,
  ];
  if (plan.skip.length > 0) flags.push(`--skip-tests=${plan.skip.join(",")}`);
  if (options.failFast) flags.push("--fail-fast");
  if (options.timeouts !== "") flags.push(`--timeout-config-overrides=${options.timeouts}`);
  if (options.keep) flags.push("--cleanup-base-resources=false", "--cleanup-test-resources=false");
  return flags;
}

/** Runs the suite once. A test that fails does not throw: the results say so. */
export async function runSuite(run: RunOptions): Promise<Run> {
  const { binary, kubeconfig, plan, options, version, folder, onResult } = run;
  const report = `${folder}/report.yaml`;
  const log = `${folder}/log.txt`;
  const began = performance.now();
  const child = new Deno.Command("go", {
    args: ["tool", "test2json", "-t", binary, ...suiteFlags(plan, { options, version, report })],
    cwd: folder,
    env: { KUBECONFIG: kubeconfig, GOTOOLCHAIN: GO_TOOLCHAIN, GOWORK: "off" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const events = new TestEvents();
  const elapsed = () => (performance.now() - began) / 1000;
  let setUp: number | undefined;
  let lastResult: number | undefined;
  using file = await Deno.open(log, { write: true, create: true, truncate: true });
  const encoder = new TextEncoder();
  for await (const line of lines(child.stdout)) {
    const result = events.take(line);
    if (events.begun) setUp ??= elapsed();
    if (result !== undefined) {
      lastResult = elapsed();
      onResult(result);
    }
    const text = encoder.encode(outputOf(line));
    for (let at = 0; at < text.length;) at += await file.write(text.subarray(at));
  }
  const { success } = await child.status;
  const whole = elapsed();
  return {
    events,
    success,
    seconds: { whole, setUp: setUp ?? whole, cleanUp: whole - (lastResult ?? whole) },
    report: await Deno.stat(report).then(() => report, () => undefined),
    log,
  };
}

/** What the suite printed, taken out of its event, for a log that reads as `go test -v`. */
function outputOf(line: string): string {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event === "object" && event !== null) {
      return "Output" in event && typeof event.Output === "string" ? event.Output : "";
    }
  } catch {
    // Not an event.
  }
  return `${line}\n`;
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest !== "") yield rest;
}
