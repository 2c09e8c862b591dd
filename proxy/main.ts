/** A proxy process: a thin host of the data plane. Holds no Kubernetes credentials. */
import { openNatsBus } from "../shared/bus/transport_nats.ts";
import { ApplyLoop } from "../shared/dataplane/apply/apply_loop.ts";
import { LastGood } from "../shared/dataplane/apply/last_good.ts";
import { DataPlane } from "../shared/dataplane/data_plane.ts";
import { AccessLog } from "../shared/dataplane/observe/access_log.ts";
import { DEFAULT_LIMITS } from "../shared/dataplane/request/limits.ts";
import { readBootstrap } from "../shared/lib/bootstrap.ts";
import { systemClock } from "../shared/lib/clock.ts";
import { createLogger, errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { surviveUncaught } from "../shared/lib/survive.ts";
import { serveProxyAdmin } from "./admin.ts";
import { parseProxyConfig } from "./config.ts";
import { readOpenFileLimit } from "./open_files.ts";
import type { ProxyConfig } from "./config.ts";

/** Features of the snapshot schema that this build understands. */
const FEATURES: readonly string[] = [];

/** Runs until `ended` resolves, then drains. */
export async function runProxy(
  config: ProxyConfig,
  options: { ended: Promise<unknown>; log: Logger },
): Promise<void> {
  const { ended, log } = options;
  const openFiles = config.openFiles > 0 ? config.openFiles : readOpenFileLimit();
  const dataPlane = new DataPlane({
    bindAddress: config.bindAddress,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
    random: Math.random,
    log,
    accessLog: config.accessLog ? new AccessLog({ sink: standardOutput() }) : null,
    ...(openFiles === undefined ? {} : { openFiles }),
  });
  const bus = openNatsBus({
    access: config.bus,
    name: config.name,
    log,
  });
  const apply = new ApplyLoop({
    bus,
    fleet: config.fleet,
    proxy: config.name,
    publicKeys: config.trustedKeys,
    fleetKey: config.fleetKey,
    target: dataPlane,
    features: FEATURES,
    log,
    lastGood: new LastGood({
      folder: `${config.stateDir}/last-good`,
      onError: (error) => log.warn("last_good_failed", { error: errorMessage(error) }),
    }),
    hooks: {
      onRefused: (_subject, reason) => dataPlane.metrics.applyError(reason),
      onSwap: ({ degraded }) => {
        if (degraded) dataPlane.metrics.applyError("degraded");
      },
    },
  });
  apply.start();
  let draining = false;
  const admin = serveProxyAdmin({
    port: config.adminPort,
    dataPlane,
    apply,
    draining: () => draining,
  });
  console.log(JSON.stringify({ adminPort: admin.port }));
  log.info("started", { adminPort: admin.port });
  await ended;
  draining = true;
  log.info("draining");
  await dataPlane.close();
  await apply.close();
  await bus.close();
  await admin.close();
}

function standardOutput() {
  return {
    async write(bytes: Uint8Array): Promise<void> {
      for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    },
  };
}

if (import.meta.main) {
  const { value, parentGone } = await readBootstrap(Deno.stdin.readable);
  const config = parseProxyConfig(value);
  const log = createLogger({ component: "proxy", fields: { proxy: config.name } });
  surviveUncaught(log);
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => resolve());
    }
  });
  await runProxy(config, { ended: Promise.race([parentGone, signalled]), log });
  Deno.exit(0);
}
