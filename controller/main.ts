/** A controller process: manifests in, signed snapshots on the bus out, statuses on request. */
import process from "node:process";
import { openBus } from "../shared/bus/open_bus.ts";
import { readBootstrap } from "../shared/lib/bootstrap.ts";
import { systemClock } from "../shared/lib/clock.ts";
import { CollectAfterShrinking } from "../shared/lib/collect_garbage.ts";
import { FileLock } from "../shared/lib/file_lock.ts";
import { createLogger, errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { surviveUncaught } from "../shared/lib/survive.ts";
import { createSigner } from "../shared/snapshot/keys.ts";
import { serveControllerAdmin } from "./admin.ts";
import { parseControllerConfig } from "./config.ts";
import type { ControllerConfig } from "./config.ts";
import { fleetView } from "./fleet_view.ts";
import { standalonePort } from "./infra/binds.ts";
import { FleetPorts } from "./infra/fleet_ports.ts";
import { statusAddressOf } from "./status/gateway.ts";
import { ControllerLoop } from "./loop.ts";
import { Memory } from "./memory.ts";
import { ControllerMetrics } from "./observe/metrics.ts";
import { Acks } from "./publish/acks.ts";
import { Publisher } from "./publish/publisher.ts";
import { type Batch, formatProblem, type Problem } from "./source/batch.ts";
import { openFilesSource } from "./source/files/files_source.ts";
import type { FilesSource } from "./source/files/files_source.ts";
import { MemoryStatuses } from "./status/sink.ts";
import { withinScope } from "./source/watch_scope.ts";
import { loadInline } from "./source/files/inline.ts";

/** Milliseconds between looks at a lock that another controller holds. */
const LOCK_RETRY = 250;
/** Milliseconds between looks at what has to be remembered. */
const SAVE_INTERVAL = 1_000;

/** Milliseconds that a start waits for the bus: until then a publish that fails is no news. */
const BUS_WAIT = 1_000;
const BUS_LOOK = 5;

async function busConnected(bus: { readonly connected: boolean }): Promise<void> {
  for (let waited = 0; !bus.connected && waited < BUS_WAIT; waited += BUS_LOOK) {
    await systemClock.delay(BUS_LOOK);
  }
}

/** Waits for the lock: whoever holds it may write, everybody else stays warm. */
async function acquireLock(path: string, log: Logger): Promise<FileLock> {
  for (let waiting = false;; waiting = true) {
    const lock = await FileLock.acquire(path);
    if (lock !== undefined) return lock;
    if (!waiting) log.info("waiting_for_lock", { path });
    await systemClock.delay(LOCK_RETRY);
  }
}

/** Logs the problems that were not there before. Returns those that are there now. */
function tellProblems(
  problems: readonly Problem[],
  { told, log }: { told: ReadonlySet<string>; log: Logger },
): ReadonlySet<string> {
  const now = new Set<string>();
  for (const problem of problems) {
    const text = formatProblem(problem);
    now.add(text);
    if (told.has(text)) continue;
    log[problem.severity === "error" ? "warn" : "info"]("manifest_problem", { problem: text });
  }
  return now;
}

/**
 * The YAML parser asks `process.env` for a debugging switch at every token, which is a third of the
 * time that it takes. This process is told everything through its standard input.
 */
function readNoEnvironment(): void {
  Object.defineProperty(process, "env", { value: {} });
}

/** Runs until `ended` resolves or another controller takes over. */
export async function runController(
  config: ControllerConfig,
  options: { ended: Promise<unknown>; log: Logger },
): Promise<void> {
  const { ended, log } = options;
  const { settings } = config;
  const exactPorts = new Set(config.exactPorts);
  const lock = await acquireLock(`${config.stateDir}/controller.lock`, log);
  const memory = await Memory.load(`${config.stateDir}/controller.jsonl`);
  const metrics = new ControllerMetrics();
  const bus = openBus({
    access: config.bus,
    name: "controller",
    limits: config.streamLimits,
    log,
  });
  await busConnected(bus);
  const acks = new Acks({ bus, fleet: config.fleet });
  const publisher = new Publisher({
    bus,
    fleet: config.fleet,
    signer: createSigner(config.signingKey),
    fleetKey: config.fleetPublicKey,
    holder: `controller ${Deno.pid}`,
    acks,
    log,
    ...(memory.lineage === undefined ? {} : { previousLineage: memory.lineage }),
    hooks: {
      onBatch: ({ bytes }) => {
        metrics.publishedBytes.inc(bytes);
        metrics.snapshotBytes.observe(bytes);
      },
      onError: () => metrics.publishErrors.inc(),
    },
  });
  const memoryUse = new CollectAfterShrinking({ clock: systemClock });
  const loop = new ControllerLoop({
    publisher,
    fleet: fleetView(acks),
    controllerName: settings.controllerName,
    surroundings: { addresses: () => [statusAddressOf(settings.statusAddress)] },
    ports: new FleetPorts({
      preferred: (port) => exactPorts.has(port) ? port : standalonePort(port),
      clock: systemClock,
      log,
    }),
    statuses: new MemoryStatuses({
      context: () => ({ now: systemClock.now(), controllerName: settings.controllerName }),
      onUpdate: () => metrics.statusUpdates.inc(),
    }),
    metrics,
    clock: systemClock,
    log,
    onHeld: (objects) => memoryUse.observe(objects),
  });
  acks.onChange(() => loop.onFleetChanged());
  const take = (source: string, batch: Batch) => loop.onBatch(source, withinScope(batch, settings));
  for (const [index, text] of config.inlineManifests.entries()) {
    take(`inline ${index}`, loadInline(text, `inline ${index}`));
  }
  const sources: FilesSource[] = [];
  const opened = await Promise.all(config.manifests.map((path) => {
    let told: ReadonlySet<string> = new Set();
    return openFilesSource({
      path,
      logger: log,
      known: memory.known,
      onBatch: (batch) => {
        told = tellProblems(batch.problems, { told, log });
        take(path, batch);
      },
    });
  }));
  const admin = serveControllerAdmin({
    port: config.adminPort,
    loop,
    metrics,
    onLogLevel: (level) => log.setLevel(level),
  });
  // Proxies can start while the files are read.
  console.log(JSON.stringify({ adminPort: admin.port }));
  log.info("started", { adminPort: admin.port });
  for (const files of opened) sources.push(await files.start());
  loop.start();
  const saveNow = async () => {
    const objects = sources.flatMap((source) => source.takeRemembered());
    // Until it leads, the lineage of the last run stays the one to link a new stream to.
    await memory.save({ objects, lineage: publisher.lineage }).catch((error) => {
      log.warn("memory_not_saved", { error: errorMessage(error) });
    });
  };
  let saved = Promise.resolve();
  const save = () => saved = saved.then(saveNow);
  // At once: ages break ties between routes, so that a forgotten one is another version.
  await save();
  const saving = setInterval(save, SAVE_INTERVAL);
  await Promise.race([ended, publisher.deposed]);
  clearInterval(saving);
  loop.close();
  memoryUse.close();
  await Promise.all(sources.map((source) => source.close()));
  await save();
  await publisher.close();
  await acks.close();
  await bus.close();
  await admin.close();
  lock.release();
}

if (import.meta.main) {
  readNoEnvironment();
  const { value, parentGone } = await readBootstrap(Deno.stdin.readable);
  const config = parseControllerConfig(value);
  const log = createLogger({ component: "controller", level: config.logLevel });
  surviveUncaught(log);
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => resolve());
    }
  });
  try {
    if (!config.settings.enabled) {
      // Everything else stays as it is: what is published goes on being served.
      log.info("disabled", { setting: "k8sGatewayApi.enabled" });
      console.log(JSON.stringify({ disabled: true }));
      await Promise.race([parentGone, signalled]);
      Deno.exit(0);
    }
    await runController(config, { ended: Promise.race([parentGone, signalled]), log });
    Deno.exit(0);
  } catch (error) {
    // The guard above would keep a process that never started.
    log.error("failed", { error: errorMessage(error) });
    Deno.exit(1);
  }
}
