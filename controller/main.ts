/** A controller process: objects in, signed snapshots on the bus out, statuses where they belong. */
import process from "node:process";
import { createLogger, errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { readStart, toldToEnd } from "../shared/lib/process_start.ts";
import { surviveUncaught } from "../shared/lib/survive.ts";
import { type ControllerConfig, parseControllerConfig } from "./config.ts";
import { runStandalone } from "./run_standalone.ts";

/** What a pod has to know of the cluster; the library looks for more, which must not count. */
const CLUSTER_VARIABLES = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] as const;

/**
 * The YAML parser asks `process.env` for a debugging switch at every token, which is a third of the
 * time that it takes. This process is told everything through its bootstrap.
 */
function readNoEnvironment(keep: Record<string, string>): void {
  Object.defineProperty(process, "env", { value: keep });
}

function variables(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

async function run(
  config: ControllerConfig,
  options: { ended: Promise<unknown>; log: Logger },
): Promise<void> {
  const { kubernetes } = config;
  if (kubernetes === undefined) return await runStandalone(config, options);
  // The client library is large: only who needs it loads it.
  const { runCluster } = await import("./run_cluster.ts");
  await runCluster({ ...config, kubernetes }, options);
}

if (import.meta.main) {
  const start = await readStart(Deno.args);
  const config = parseControllerConfig(start.value);
  readNoEnvironment(config.kubernetes?.access.kind === "pod" ? variables(CLUSTER_VARIABLES) : {});
  const log = createLogger({ component: "controller", level: config.logLevel });
  surviveUncaught(log);
  const ended = toldToEnd(start);
  try {
    if (!config.settings.enabled) {
      // Everything else stays as it is: what is published goes on being served.
      log.info("disabled", { setting: "k8sGatewayApi.enabled" });
      console.log(JSON.stringify({ disabled: true }));
      await ended;
      Deno.exit(0);
    }
    await run(config, { ended, log });
    Deno.exit(0);
  } catch (error) {
    // The guard above would keep a process that never started.
    log.error("failed", { error: errorMessage(error) });
    Deno.exit(1);
  }
}
