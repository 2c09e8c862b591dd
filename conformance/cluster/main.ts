/** `deno task cluster up|down|status|load|restart`: a real one-node Kubernetes on this machine. */
import { BUNDLE_VERSION } from "../../controller/features.ts";
import { FileLock } from "../../shared/lib/file_lock.ts";
import { type ClusterCommand, parseClusterArguments, USAGE, UsageError } from "./arguments.ts";
import { clusterDown } from "./down.ts";
import { importImages } from "./images.ts";
import { type ClusterPaths, clusterPaths, currentKubeconfig } from "./paths.ts";
import { restartComponent } from "./restart.ts";
import { clusterStatus } from "./status.ts";
import { clusterUp } from "./up.ts";
import { KUBERNETES_VERSION } from "./versions.ts";

const onProgress = (line: string) => console.log(line);

/** Runs one command; returns the exit code. */
async function run(command: ClusterCommand, paths: ClusterPaths): Promise<number> {
  switch (command.command) {
    case "up":
      await clusterUp({
        paths,
        channel: command.channel,
        gatewayApi: BUNDLE_VERSION,
        now: new Date(),
        onProgress,
      });
      console.log(`\nexport KUBECONFIG=${paths.kubeconfig}\nkubectl: ${paths.kubectl}`);
      return 0;
    case "down":
      await clusterDown({ paths, onProgress });
      return 0;
    case "status": {
      const { lines, up } = await clusterStatus(paths);
      console.log(lines.join("\n"));
      return up ? 0 : 1;
    }
    case "load":
      for (const archive of command.archives) {
        console.log((await importImages(archive, { paths })).trim());
      }
      return 0;
    case "restart": {
      const { component, kill, pause } = command;
      await restartComponent(component, { paths, kill, pause });
      console.log(`restarted ${component}`);
      return 0;
    }
  }
}

async function main(): Promise<number> {
  const command = parseClusterArguments(Deno.args);
  const paths = clusterPaths(Deno.env, { kubernetes: KUBERNETES_VERSION });
  const { path, foreign } = currentKubeconfig(Deno.env, paths);
  if (foreign) {
    console.log(`KUBECONFIG names another cluster (${path}): nothing was touched`);
    if (command.command === "load") {
      console.log("load images with that cluster's own tool (kind load image-archive, k3s ctr)");
    }
    const harmless = command.command === "up" || command.command === "down";
    return harmless ? 0 : 1;
  }
  if (command.command === "status") return await run(command, paths);
  await Deno.mkdir(paths.cache, { recursive: true });
  const lock = await FileLock.acquire(`${paths.cache}/cluster.lock`);
  if (lock === undefined) {
    console.error("another cluster command is running: try again when it has ended");
    return 1;
  }
  try {
    return await run(command, paths);
  } finally {
    lock.release();
  }
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError) console.error(`\n${USAGE}`);
  Deno.exit(error instanceof UsageError ? 2 : 1);
}
