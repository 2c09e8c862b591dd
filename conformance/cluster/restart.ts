/** Ends a component and starts it again where it was, for tests of failures. */
import { COMPONENT_NAMES, componentCommand, type ComponentName } from "./components.ts";
import { kubectl, waitUntil } from "./kube.ts";
import type { ClusterPaths } from "./paths.ts";
import { stopProcess } from "./process.ts";
import { startComponent } from "./up.ts";

/** How a component is restarted. */
export interface RestartOptions {
  paths: ClusterPaths;
  /** KILL instead of TERM. */
  kill?: boolean;
  /** Seconds between its end and its start. */
  pause?: number;
}

/**
 * Restarts a component; resolves when the API answers again. A component that ended because this
 * one was away (the API server does, when etcd goes while it starts) is started again as well.
 */
export async function restartComponent(
  name: ComponentName,
  options: RestartOptions,
): Promise<void> {
  const { paths, kill = false, pause = 0 } = options;
  await stopProcess(name, {
    command: componentCommand(name, paths),
    folders: paths,
    signal: kill ? "SIGKILL" : "SIGTERM",
  });
  await new Promise((resolve) => setTimeout(resolve, pause * 1000));
  await startComponent(name, paths);
  await waitUntil(`the API is not ready after the restart of ${name}`, {
    ready: async () => {
      for (const component of COMPONENT_NAMES) await startComponent(component, paths);
      const args = ["get", "--raw", "/readyz"];
      return (await kubectl(args, { paths, mayFail: true, timeout: 5000 })).success;
    },
    timeout: 60_000,
    hint: `${paths.logs}/${name}.log`,
  });
}
