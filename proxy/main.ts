/** A proxy process: a thin host of the data plane. Holds no Kubernetes credentials. */
import { openBus } from "../shared/bus/open_bus.ts";
import { ApplyLoop } from "../shared/dataplane/apply/apply_loop.ts";
import { LastGood } from "../shared/dataplane/apply/last_good.ts";
import { DataPlane } from "../shared/dataplane/data_plane.ts";
import type { DataPlaneHost } from "../shared/dataplane/host.ts";
import { AccessLog } from "../shared/dataplane/observe/access_log.ts";
import { WorkerFleet } from "../shared/dataplane/workers/worker_fleet.ts";
import { requestTracer } from "../shared/dataplane/observe/tracer.ts";
import { systemClock } from "../shared/lib/clock.ts";
import { CollectAfterShrinking } from "../shared/lib/collect_garbage.ts";
import { createLogger, errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { readStart, toldToEnd } from "../shared/lib/process_start.ts";
import { surviveUncaught } from "../shared/lib/survive.ts";
import { SNAPSHOT_FEATURES } from "../shared/snapshot/features.ts";
import { serveProxyAdmin, serveProxyHealth } from "./admin.ts";
import { parseProxyConfig } from "./config.ts";
import { readOpenFileLimit } from "./open_files.ts";
import type { ProxyConfig } from "./config.ts";

const COMPONENT = "proxy";

/** Runs until `ended` resolves, then drains. */
export async function runProxy(
  config: ProxyConfig,
  options: { ended: Promise<unknown>; log: Logger },
): Promise<void> {
  const { ended, log } = options;
  const dataPlane = await createHost(config, log);
  const bus = openBus({
    access: config.bus,
    name: config.name,
    log,
  });
  const memoryUse = new CollectAfterShrinking({ clock: systemClock });
  const apply = new ApplyLoop({
    bus,
    fleet: config.fleet,
    proxy: config.name,
    address: config.address,
    publicKeys: config.trustedKeys,
    fleetKey: config.fleetKey,
    target: dataPlane,
    features: SNAPSHOT_FEATURES,
    log,
    lastGood: new LastGood({
      folder: `${config.stateDir}/last-good`,
      onError: (error) => {
        dataPlane.applyError("local_copy");
        log.warn("last_good_failed", { error: errorMessage(error) });
      },
    }),
    hooks: {
      onRefused: (_subject, reason) => dataPlane.applyError(reason),
      onSwap: ({ degraded }) => {
        if (degraded) dataPlane.applyError("degraded");
      },
      onHeld: (resources) => memoryUse.observe(resources),
    },
  });
  apply.start();
  let draining = false;
  const admin = serveProxyAdmin({
    port: config.adminPort,
    dataPlane,
    apply,
    draining: () => draining,
    onLogLevel: (level) => {
      log.setLevel(level);
      dataPlane.setLogLevel(level);
    },
  });
  const probes = config.health &&
    serveProxyHealth(config.health, { dataPlane, apply, draining: () => draining });
  console.log(JSON.stringify({ adminPort: admin.port }));
  log.info("started", { workers: config.workers, adminPort: admin.port });
  await ended;
  draining = true;
  log.info("draining");
  apply.drain();
  dataPlane.announceEnd();
  // Whoever sends traffic here learns of it in this time; what it sends until then is served.
  if (config.drainDelay > 0) await systemClock.delay(config.drainDelay);
  await dataPlane.close();
  await apply.close();
  memoryUse.close();
  await bus.close();
  await probes?.close();
  await admin.close();
}

/** With one worker the data plane runs in this isolate; with more, this one only directs them. */
async function createHost(config: ProxyConfig, log: Logger): Promise<DataPlaneHost> {
  const { bindAddress, workers, limits, logLevel, name, tracing } = config;
  const sink = config.accessLog ? standardOutput() : null;
  const openFiles = config.openFiles > 0 ? config.openFiles : readOpenFileLimit();
  const shared = {
    bindAddress,
    limits,
    clock: systemClock,
    log,
    ...(openFiles === undefined ? {} : { openFiles }),
  };
  if (workers > 1) {
    const logging = { component: COMPONENT, level: logLevel, fields: { proxy: name } };
    return await WorkerFleet.start({ ...shared, workers, logging, tracing, accessLog: sink });
  }
  const accessLog = sink === null ? null : new AccessLog({ sink });
  const tracer = tracing ? { tracer: requestTracer() } : {};
  return new DataPlane({ ...shared, ...tracer, random: Math.random, accessLog });
}

function standardOutput() {
  return {
    async write(bytes: Uint8Array): Promise<void> {
      for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    },
  };
}

if (import.meta.main) {
  const start = await readStart(Deno.args);
  const config = parseProxyConfig(start.value);
  const log = createLogger({
    component: COMPONENT,
    level: config.logLevel,
    fields: { proxy: config.name },
  });
  surviveUncaught(log);
  try {
    await runProxy(config, { ended: toldToEnd(start), log });
    Deno.exit(0);
  } catch (error) {
    // The guard above would keep a process that never started.
    log.error("failed", { error: errorMessage(error) });
    Deno.exit(1);
  }
}
