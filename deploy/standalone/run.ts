/** `deno task run`: a working gateway on this machine, without a cluster. */
import { Command, Option } from "commander";
import { loadSettings } from "../../shared/config/load.ts";
import type { Settings } from "../../shared/config/settings.ts";
import { errorMessage } from "../../shared/lib/log.ts";
import { parse } from "@std/yaml";
import { servedPorts, servedSummary } from "./guide.ts";
import { prepareSamples, QUICKSTART } from "./samples.ts";
import { startStack } from "./stack.ts";
import type { BusKind, Stack } from "./stack.ts";

interface RunOptions {
  dir?: string[];
  state?: string;
  proxies: number;
  workers?: number;
  config?: string;
  bus?: BusKind;
  accessLog: boolean;
  verbose: boolean;
}

function parseArguments(args: readonly string[]): RunOptions {
  const command = new Command("deno task run")
    .description(
      "Serves Gateway API manifests on this machine: bus, controller and proxy as processes of\n" +
        "their own, on loopback. Port 80 is served on 8080 and 443 on 8443. Manifests are watched:\n" +
        "saving a file changes the gateway at once. Ctrl-C ends everything.",
    )
    .option(
      "--dir <path...>",
      "manifests to serve (file or folder) instead of the quick start; the folders in\n" +
        "deploy/samples come with their backends",
    )
    .option("--state <folder>", "keep keys, streams and history here between runs")
    .option("--proxies <n>", "number of proxies, on 127.0.0.1, 127.0.0.2, …", "1")
    .option("--workers <n>", "workers per proxy, each on a core of its own")
    .option("--config <file>", "settings; variables such as LGW_WORKERS override them")
    .addOption(
      new Option("--bus <kind>", "what carries snapshots; default: nats where there is a server")
        .choices(["nats", "file"]),
    )
    .option("--access-log", "print a JSON line for every request", false)
    .option("--verbose", "print the log of every process", false)
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  deno task run\n" +
        "  deno task run --dir deploy/samples/protocols\n" +
        "  deno task run --dir my-manifests --state ~/.lgw\n" +
        "\nWhile it runs: deno task cli status, explain, history.",
    );
  command.parse([...args], { from: "user" });
  const { dir, state, proxies, workers, config, bus, accessLog, verbose } = command.opts<
    Omit<RunOptions, "proxies" | "workers"> & { proxies: string; workers?: string }
  >();
  const count = (value: string, name: string) => {
    const number = Number(value);
    if (Number.isInteger(number) && number >= 1 && number <= 16) return number;
    return command.error(`${name}: expected an integer from 1 to 16`);
  };
  return {
    proxies: count(proxies, "--proxies"),
    ...(workers === undefined ? {} : { workers: count(workers, "--workers") }),
    ...(config === undefined ? {} : { config }),
    accessLog,
    verbose,
    ...(bus === undefined ? {} : { bus }),
    ...(dir === undefined ? {} : { dir }),
    ...(state === undefined ? {} : { state }),
  };
}

function logLine(
  { verbose, print }: { verbose: boolean; print: (line: string) => void },
): (process: string, line: string) => void {
  return (process, line) => {
    if (verbose || process === "stack" || isWorthShowing(line)) print(`[${process}] ${line}`);
  };
}

/** Warnings, errors, access log lines, and whatever is not one of our log lines. */
function isWorthShowing(line: string): boolean {
  if (!line.startsWith("{")) return line !== "";
  try {
    const fields: unknown = parse(line);
    if (typeof fields !== "object" || fields === null) return true;
    if ("ready" in fields || "adminPort" in fields) return false;
    return !("level" in fields) || fields.level === "warn" || fields.level === "error";
  } catch {
    return true;
  }
}

/** The file and the environment, and over them what the command line says. */
async function settingsOf({ config, workers, accessLog }: RunOptions): Promise<Settings> {
  const settings = loadSettings({
    env: Deno.env,
    ...(config === undefined
      ? {}
      : { file: { path: config, text: await Deno.readTextFile(config) } }),
  });
  return {
    ...settings,
    accessLog: accessLog || settings.accessLog,
    // Whoever turns on Deno's exporter wants spans.
    tracing: settings.tracing || Deno.env.get("OTEL_DENO") === "true",
    ...(workers === undefined ? {} : { workers }),
  };
}

async function main(): Promise<void> {
  const options = parseArguments(Deno.args);
  const settings = await settingsOf(options);
  if (!settings.controller.enabled) {
    console.log("k8sGatewayApi.enabled is false: nothing to run");
    return;
  }
  const stop = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => stop.resolve());
  }
  let stopping = false;
  const stopped = stop.promise.then(() => {
    stopping = true;
    console.log("\nending…");
  });
  const print = (text: string) => {
    if (!stopping) console.log(text);
  };
  const manifests = await Promise.all(
    (options.dir ?? [QUICKSTART]).map((path) => Deno.realPath(path)),
  );
  const samples = await prepareSamples(manifests, new Date());
  let stack: Stack | undefined;
  const serve = async () => {
    stack = await startStack({
      manifests,
      inlineManifests: samples.flatMap(({ manifests }) => manifests),
      proxies: options.proxies,
      settings,
      ...(options.bus === undefined ? {} : { bus: options.bus }),
      env: Deno.env,
      onProgress: (message) => print(`… ${message}`),
      onLog: logLine({ verbose: options.verbose, print }),
      ...(options.state === undefined ? {} : { stateDir: options.state }),
    });
    const ports = await servedPorts(stack);
    print(servedSummary(stack, ports));
    const fileOf = (name: string) => `${stack?.stateDir}/${name}`;
    for (const { files, guide } of samples) {
      for (const [name, text] of Object.entries(files)) {
        await Deno.writeTextFile(fileOf(name), text);
      }
      print(guide({ ports, fileOf }));
    }
    print("Ctrl-C ends it.");
  };
  const serving = serve();
  try {
    // Ctrl-C may come before everything is up; what fails because of it is no error.
    await Promise.race([stopped, serving]);
    await stopped;
  } finally {
    await serving.catch(() => {});
    await stack?.stop();
    await Promise.all(samples.map(({ backends }) => backends.stop()));
  }
}

if (import.meta.main) {
  try {
    await main();
    Deno.exit(0);
  } catch (error) {
    console.error(errorMessage(error));
    Deno.exit(1);
  }
}
