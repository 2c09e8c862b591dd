/** Ends a component and starts it again where it was, for tests of failures. */
import { componentCommand, type ComponentName } from "./components.ts";
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

/** Restarts a component; resolves when it was started, which is before it answers. */
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
}
