/** The deployed gateway: its pods, who leads, what they say, and the processes behind them. */
import { metricsOf, SYSTEM } from "../bench/cluster_rig.ts";
import { clusterPaths, currentKubeconfig } from "../cluster/paths.ts";
import { KUBERNETES_VERSION } from "../cluster/versions.ts";
import type { ClusterPaths } from "../cluster/paths.ts";
import { eventually } from "../e2e/wait.ts";
import { asRecord } from "../../controller/source/decode/decoder.ts";
import type { KubeApi } from "../../controller/source/kubernetes/api.ts";

export const CONTROLLER = "light-k8s-gateway-controller";
export const PROXY = "light-k8s-gateway-proxy";
export const BUS = "light-k8s-gateway-nats";
export const LEASE_PATH =
  `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/light-k8s-gateway-controller`;

export interface SystemPod {
  name: string;
  uid: string;
  address: string;
  ready: boolean;
  terminating: boolean;
  restarts: number;
  /** Id of its container on the node; empty while there is none. */
  container: string;
}

/** Pods of a component. */
export async function podsOf(api: KubeApi, app: string): Promise<SystemPod[]> {
  const { items } = await api.request({
    method: "GET",
    path: `/api/v1/namespaces/${SYSTEM}/pods`,
    query: [["labelSelector", `app.kubernetes.io/name=${app}`]],
  });
  return (Array.isArray(items) ? items : []).map((item): SystemPod => {
    const { metadata = {}, status = {} } = (asRecord(item) ?? {}) as Record<
      string,
      Record<string, unknown>
    >;
    const conditions = Array.isArray(status.conditions) ? status.conditions : [];
    const states = Array.isArray(status.containerStatuses) ? status.containerStatuses : [];
    const container = asRecord(states[0]);
    return {
      name: String(metadata.name),
      uid: String(metadata.uid),
      address: typeof status.podIP === "string" ? status.podIP : "",
      ready: conditions.some((entry) => {
        const condition = asRecord(entry);
        return condition?.type === "Ready" && condition.status === "True";
      }),
      terminating: metadata.deletionTimestamp !== undefined,
      restarts: Number(container?.restartCount ?? 0),
      container: String(container?.containerID ?? "").split("//")[1] ?? "",
    };
  });
}

/** Resolves with the pods when `count` of them are ready and no other is left. */
export function readyPods(api: KubeApi, app: string, count = 2): Promise<SystemPod[]> {
  return eventually(`${count} pods of ${app} are ready`, async () => {
    const pods = await podsOf(api, app);
    return pods.length === count && pods.every(({ ready, terminating }) => ready && !terminating) &&
      pods;
  }, { within: 90_000 });
}

/** Who holds the Lease; empty = nobody. */
export async function leaseHolder(api: KubeApi): Promise<string> {
  const { spec } = await api.request({ method: "GET", path: LEASE_PATH, timeout: 2_000 });
  const holder = asRecord(spec)?.holderIdentity;
  return typeof holder === "string" ? holder : "";
}

/** The two controllers, ready: the one that leads, as it says itself, and the other. */
export async function controllers(api: KubeApi): Promise<{ leader: SystemPod; other: SystemPod }> {
  const pods = await readyPods(api, CONTROLLER);
  return await eventually("one of two controllers leads", async () => {
    const holder = await leaseHolder(api);
    const leader = pods.find(({ name }) => name === holder);
    const other = pods.find(({ name }) => name !== holder);
    if (leader === undefined || other === undefined) return undefined;
    if (await metric(leader, "lgw_controller_leader") !== 1) return undefined;
    return (await metric(other, "lgw_controller_leader") ?? 0) === 0 && { leader, other };
  }, { within: 30_000 });
}

/** A series of a pod; undefined when it does not say it. */
export async function metric(
  { address }: Pick<SystemPod, "address">,
  series: string,
): Promise<number | undefined> {
  return (await metricsOf(address)).get(series);
}

/** The version of a Gateway that every proxy serves. */
export function servedVersion(api: KubeApi, scope: string): Promise<number> {
  return eventually(`every proxy serves the same version of ${scope}`, async () => {
    const pods = await readyPods(api, PROXY);
    const versions = await Promise.all(
      pods.map((pod) => metric(pod, `lgw_snapshot_version{scope="${scope}"}`)),
    );
    return new Set(versions).size === 1 && versions[0];
  });
}

/** The cluster that `deno task cluster up` made: only there components can be ended. */
export function ownCluster(): ClusterPaths {
  const paths = clusterPaths(Deno.env, { kubernetes: KUBERNETES_VERSION });
  if (currentKubeconfig(Deno.env, paths).foreign) {
    throw new Error(
      "this needs the cluster of `deno task cluster up`: KUBECONFIG names another one, whose " +
        "processes cannot be reached from here",
    );
  }
  return paths;
}

export type Signal = "SIGKILL" | "SIGSTOP" | "SIGCONT";

/** Sends a signal to the process of a pod's container, which runs on this machine. */
export async function signalPod(
  pod: Pick<SystemPod, "name" | "container">,
  signal: Signal,
): Promise<void> {
  (await processOf(pod))(signal);
}

/** The same for a signal that has to be sent at once: the process is looked for beforehand. */
export async function processOf(
  pod: Pick<SystemPod, "name" | "container">,
): Promise<(signal: Signal) => void> {
  ownCluster();
  const pids: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const groups = await Deno.readTextFile(`/proc/${name}/cgroup`).catch(() => "");
    if (pod.container !== "" && groups.includes(pod.container)) pids.push(Number(name));
  }
  if (pids.length === 0) throw new Error(`no process of pod ${pod.name} on this machine`);
  return (signal) => {
    for (const pid of pids) Deno.kill(pid, signal);
  };
}

/** Deletes a pod as users do: it may end in its own time. */
export async function deletePod(api: KubeApi, { name }: Pick<SystemPod, "name">): Promise<void> {
  await api.request({ method: "DELETE", path: `/api/v1/namespaces/${SYSTEM}/pods/${name}` });
}
