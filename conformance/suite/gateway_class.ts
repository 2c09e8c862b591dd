/** What has to hold of the cluster before the suite is started. */
import { applyGatewayApi, type Channel, installedChannel } from "../cluster/gateway_api.ts";
import { kubectl, waitUntil } from "../cluster/kube.ts";
import type { ClusterPaths } from "../cluster/paths.ts";

/** Waits until the GatewayClass is accepted; says what to do when it is not. */
export async function requireGatewayClass(
  name: string,
  options: { paths: Pick<ClusterPaths, "kubectl" | "kubeconfig">; seconds: number },
): Promise<void> {
  const { paths, seconds } = options;
  const condition = "{.status.conditions[?(@.type=='Accepted')].status}";
  let found = "";
  await waitUntil(`GatewayClass ${name} is not accepted`, {
    ready: async () => {
      const { success, stdout, stderr } = await kubectl(
        ["get", "gatewayclass", name, "-o", `jsonpath=accepted=${condition}`],
        { paths, mayFail: true, timeout: 10_000 },
      );
      found = (success ? stdout : stderr).trim();
      return found === "accepted=True";
    },
    timeout: seconds * 1000,
    interval: 500,
    hint: "whether the controller is deployed (deno task deploy) and its log",
  }).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${message} (the cluster says: ${found})`, { cause: error });
  });
}

/** Namespaces of the suite's base manifests. */
const NAMESPACES = [
  "gateway-conformance-infra",
  "gateway-conformance-app-backend",
  "gateway-conformance-web-backend",
  "gateway-conformance-mesh",
  "gateway-conformance-mesh-consumer",
] as const;

/** Removes what a run that was cut off left behind: its routes would answer the next run's requests. */
export async function removeLeftovers(
  paths: Pick<ClusterPaths, "kubectl" | "kubeconfig">,
): Promise<void> {
  const args = ["delete", "namespace", "--ignore-not-found", "--timeout=120s", ...NAMESPACES];
  await kubectl(args, { paths });
}

/**
 * The channel whose CRDs the cluster has. One that was asked for is installed on a cluster of our
 * own; another cluster's CRDs are its owner's.
 */
export async function requireChannel(
  wanted: Channel | undefined,
  options: {
    paths: ClusterPaths;
    foreign: boolean;
    version: string;
    onProgress: (line: string) => void;
  },
): Promise<Channel> {
  const { paths, foreign, version, onProgress } = options;
  const installed = await installedChannel(paths);
  if (installed === wanted) return wanted;
  if (wanted === undefined && (installed === "standard" || installed === "experimental")) {
    return installed;
  }
  const channel = wanted ?? "experimental";
  if (foreign) {
    throw new Error(
      `the cluster's CRDs are of channel ${installed}: install the ${channel} CRDs of the ` +
        `Gateway API ${version} there`,
    );
  }
  onProgress(`installing the ${channel} CRDs of the Gateway API ${version}`);
  await applyGatewayApi({ paths, version, channel });
  return channel;
}
