/**
 * The gate that needs a cluster: brings a real one up, deploys the images of this checkout, runs the
 * official suite as far as it is claimed, and takes everything down again.
 *
 * `LGW_CI_CLUSTER`: `required` fails where no cluster can be had, `off` leaves this out, and `auto`
 * (the default) says loudly that it was left out where the machine cannot: not root, not Linux, no Go.
 */
import { errorMessage } from "../../shared/lib/log.ts";
import { clusterPaths } from "../cluster/paths.ts";
import { KUBERNETES_VERSION } from "../cluster/versions.ts";
import { runCommand } from "../../shared/lib/run_command.ts";

const MODES = ["auto", "required", "off"] as const;

const paths = clusterPaths(Deno.env, { kubernetes: KUBERNETES_VERSION });

/** Milliseconds: building Kubernetes from sources takes its time, once. */
const UP = 45 * 60_000;
const SHORT = 5 * 60_000;
const SUITE = 15 * 60_000;
/** The suite waits for real time in places: a second failure is none of the machine's moods. */
const SUITE_TRIES = 2;

/** The cluster could not be had, which says nothing about this checkout. */
class NoCluster extends Error {
  override name = "NoCluster";
}

async function task(args: readonly string[], timeout: number): Promise<void> {
  const began = performance.now();
  console.log(`cluster gate: deno task ${args.join(" ")}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...args],
    stdin: "null",
    // A cluster of our own, whatever the caller's shell points to.
    env: { KUBECONFIG: paths.kubeconfig },
    signal: AbortSignal.timeout(timeout),
  }).spawn();
  const { success } = await child.status;
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  console.log(`cluster gate: ${args[0]} ${success ? "ok" : "FAILED"} after ${seconds} s`);
  if (!success) throw new Error(`deno task ${args.join(" ")} failed`);
}

/** Why this machine cannot have a cluster of its own; undefined when it can. */
async function obstacle(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `it runs ${Deno.build.os}, not Linux`;
  if (Deno.uid() !== 0) return "it is not run as root";
  const { success } = await runCommand(["go", "version"], { mayFail: true });
  return success ? undefined : "Go is not installed";
}

async function bringUp(): Promise<void> {
  const reason = await obstacle();
  if (reason !== undefined) throw new NoCluster(reason);
  try {
    await task(["cluster", "up"], UP);
  } catch (error) {
    await task(["cluster", "down"], SHORT).catch(() => {});
    throw new NoCluster(errorMessage(error));
  }
}

async function conformance(): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await task(["conformance"], SUITE);
    } catch (error) {
      if (tries === SUITE_TRIES) throw error;
    }
  }
}

async function gate(): Promise<void> {
  await bringUp();
  const images = await Deno.makeTempDir({ prefix: "lgw-images-" });
  try {
    await task(["images", images, "dev"], SHORT);
    const archives = [...Deno.readDirSync(images)].map(({ name }) => `${images}/${name}`);
    await task(["cluster", "load", ...archives], SHORT);
    await task(["deploy", "--overlay", "one-node"], SHORT);
    await conformance();
  } finally {
    await Deno.remove(images, { recursive: true });
    await task(["cluster", "down"], SHORT);
  }
}

const mode = Deno.env.get("LGW_CI_CLUSTER") ?? "auto";
if (!MODES.some((known) => known === mode)) {
  console.error(`LGW_CI_CLUSTER: expected one of ${MODES.join(", ")}`);
  Deno.exit(2);
}
if (mode !== "off") {
  try {
    await gate();
    console.log("cluster gate: passed");
  } catch (error) {
    if (mode === "required" || !(error instanceof NoCluster)) {
      console.error(`cluster gate: ${errorMessage(error)}`);
      Deno.exit(1);
    }
    console.log(`cluster gate: LEFT OUT, no cluster on this machine: ${error.message}`);
  }
}
