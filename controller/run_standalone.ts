/** A controller beside manifests in files: no cluster, statuses on request. */
import { systemClock } from "../shared/lib/clock.ts";
import { busConnected, openPublishing } from "./publishing.ts";
import { CollectAfterShrinking } from "../shared/lib/collect_garbage.ts";
import { FileLock } from "../shared/lib/file_lock.ts";
import { errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { serveControllerAdmin } from "./admin.ts";
import type { ControllerConfig } from "./config.ts";
import { fleetView } from "./fleet_view.ts";
import { standalonePort } from "./infra/binds.ts";
import { FleetPorts } from "./infra/fleet_ports.ts";
import { statusAddressOf } from "./status/gateway.ts";
import { ControllerLoop } from "./loop.ts";
import { Memory } from "./memory.ts";
import { kindOf } from "./model/objects.ts";
import { ControllerMetrics } from "./observe/metrics.ts";
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

/** Runs until `ended` resolves or another controller takes over. */
export async function runStandalone(
  config: ControllerConfig,
  options: { ended: Promise<unknown>; log: Logger },
): Promise<void> {
  const { ended, log } = options;
  const { settings } = config;
  const exactPorts = new Set(config.exactPorts);
  const lock = await acquireLock(`${config.stateDir}/controller.lock`, log);
  const memory = await Memory.load(`${config.stateDir}/controller.jsonl`);
  const metrics = new ControllerMetrics();
  const { bus, acks, openPublisher } = openPublishing(config, { metrics, log });
  await busConnected(bus);
  const publisher = openPublisher({
    holder: `controller ${Deno.pid}`,
    previousLineage: memory.lineage,
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
      onUpdate: (key) => metrics.statusUpdates.inc({ kind: kindOf(key) }),
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
    ready: () => loop.report().leading,
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
