/** The CRDs of the Gateway API, from the pinned Go module. */
import { kubectl } from "./kube.ts";
import type { ClusterPaths } from "./paths.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { GO_TOOLCHAIN } from "./versions.ts";

/** The bundles that a release ships. */
export const CHANNELS = ["standard", "experimental"] as const;
/** A release channel of the Gateway API. */
export type Channel = typeof CHANNELS[number];

/** Whether a text names a channel. */
export function isChannel(text: string): text is Channel {
  return CHANNELS.some((channel) => channel === text);
}

const CHANNEL_ANNOTATION = "gateway.networking.k8s.io/channel";
const GROUPS = /\.gateway\.networking\.(x-)?k8s\.io$/;
/** Which CRDs of the Gateway API a cluster has, by channel; `none` when it has none. */
export type InstalledChannel = Channel | "none" | "mixed";

/** Reads from the CRDs' annotations which channel is installed. */
export async function installedChannel(
  paths: Pick<ClusterPaths, "kubectl" | "kubeconfig">,
): Promise<InstalledChannel> {
  const crds = await listCrds(paths);
  const channels = new Set(crds.map(({ channel }) => channel));
  const [only] = channels;
  if (only === undefined) return "none";
  return channels.size === 1 && isChannel(only) ? only : "mixed";
}

/**
 * Applies the CRDs of one channel and removes those that only the other one has. The policy that
 * guards against such a change (safe-upgrades) is left out: this is a cluster for tests.
 */
export async function applyGatewayApi(
  options: { paths: ClusterPaths; version: string; channel: Channel },
): Promise<void> {
  const { paths, version, channel } = options;
  const module = `sigs.k8s.io/gateway-api@${version}`;
  const { stdout } = await runCommand(["go", "mod", "download", "-json", module], {
    cwd: paths.cache,
    // The module asks for a newer Go than most machines have.
    env: { GOWORK: "off", GOTOOLCHAIN: GO_TOOLCHAIN },
  });
  const folder = `${moduleFolder(stdout)}/config/crd/${channel}`;
  const files: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (/^gateway\..*\.yaml$/.test(name) && !name.includes("vap_safeupgrades")) {
      files.push(`${folder}/${name}`);
    }
  }
  if (files.length === 0) throw new Error(`${folder}: there are no CRDs in module ${module}`);
  const args = files.sort().flatMap((file) => ["-f", file]);
  await kubectl(["apply", "--server-side", "--force-conflicts", ...args], { paths });
  const stale = (await listCrds(paths)).filter((crd) => crd.channel !== channel);
  if (stale.length > 0) {
    await kubectl(["delete", "crd", ...stale.map(({ name }) => name)], { paths });
  }
  await kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], {
    paths,
  });
}

/** The folder in the answer of `go mod download -json`. */
function moduleFolder(answer: string): string {
  const value: unknown = JSON.parse(answer);
  if (typeof value === "object" && value !== null && "Dir" in value) {
    if (typeof value.Dir === "string") return value.Dir;
  }
  throw new Error("go mod download: its answer names no folder (Dir)");
}

async function listCrds(
  paths: Pick<ClusterPaths, "kubectl" | "kubeconfig">,
): Promise<{ name: string; channel: string }[]> {
  const annotation = CHANNEL_ANNOTATION.replaceAll(".", "\\.");
  const columns = `{.metadata.name}{" "}{.metadata.annotations.${annotation}}{"\\n"}`;
  const { stdout } = await kubectl(
    ["get", "crd", "-o", `jsonpath={range .items[*]}${columns}{end}`],
    { paths },
  );
  return stdout.split("\n").filter((line) => line !== "").map((line) => {
    const [name = "", channel = ""] = line.split(" ");
    return { name, channel };
  }).filter(({ name }) => GROUPS.test(name));
}
