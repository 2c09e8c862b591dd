/**
 * A deployed gateway to measure: a namespace with a Gateway and a backend that needs no image of its
 * own (the controllers' probes answer), and what the pods say about themselves.
 */
import { systemClock } from "../../shared/lib/clock.ts";
import { openAccess } from "../../controller/source/kubernetes/access.ts";
import { KubeApi, KubeApiError, MERGE_PATCH } from "../../controller/source/kubernetes/api.ts";
import { parseRawObject } from "../../controller/source/kubernetes/raw_object.ts";
import { podState } from "../../controller/infra/fleet_pods.ts";
import { asRecord } from "../../controller/source/decode/decoder.ts";

export const SYSTEM = "light-k8s-gateway";
export const NAMESPACE = "lgw-bench";
const HEALTH_PORT = 8081;
const PATIENCE = 60_000;
/** Milliseconds for a namespace with ten thousand objects to go. */
const DELETION = 600_000;

export interface ClusterRig {
  api: KubeApi;
  /** Addresses of the proxies' pods. */
  proxies: string[];
  /** Fleet port of the Gateway. */
  fleetPort: number;
  /** Address of the controller that leads. */
  leader(): Promise<string>;
  close(): Promise<void>;
}

/** `/apis/gateway.networking.k8s.io/v1/namespaces/<the bench's>/<plural>`. */
export const routesPath = `/apis/gateway.networking.k8s.io/v1/namespaces/${NAMESPACE}/httproutes`;

/** Makes the namespace, or throws naming what is missing. */
export async function openClusterRig(kubeconfig: string): Promise<ClusterRig> {
  const access = await openAccess({ kind: "kubeconfig", path: kubeconfig }, systemClock);
  const api = new KubeApi({ access, userAgent: "light-k8s-gateway-bench" });
  await deleteNamespace(api);
  await create(api, "/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: NAMESPACE },
  });
  const controllers = await podAddresses(api, "light-k8s-gateway-controller");
  const proxies = await podAddresses(api, "light-k8s-gateway-proxy");
  if (controllers.length === 0 || proxies.length === 0) {
    throw new Error(`no controllers or proxies in namespace ${SYSTEM}; deno task deploy`);
  }
  await create(api, `/apis/gateway.lightapi.net/v1alpha1/namespaces/${NAMESPACE}/lightbackends`, {
    apiVersion: "gateway.lightapi.net/v1alpha1",
    kind: "LightBackend",
    metadata: { name: "backend", namespace: NAMESPACE },
    spec: {
      protocol: "http1",
      endpoints: controllers.map((address) => ({ address, port: HEALTH_PORT })),
    },
  });
  await create(api, `/apis/gateway.networking.k8s.io/v1/namespaces/${NAMESPACE}/gateways`, {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name: "bench", namespace: NAMESPACE },
    spec: {
      gatewayClassName: "light-k8s-gateway",
      listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
    },
  });
  return {
    api,
    proxies,
    fleetPort: await fleetPort(api),
    leader: () => leaderAddress(api),
    close: async () => {
      await deleteNamespace(api);
      access.close();
    },
  };
}

/** A route of the bench's Gateway that the backend answers. */
export function routeObject(
  name: string,
  { host, path = "/", gateway = "bench" }: { host: string; path?: string; gateway?: string },
): Record<string, unknown> {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name, namespace: NAMESPACE },
    spec: {
      parentRefs: [{ name: gateway }],
      hostnames: [host],
      rules: [{
        matches: [{ path: { type: "PathPrefix", value: path } }],
        filters: [{
          type: "URLRewrite",
          urlRewrite: { path: { type: "ReplaceFullPath", replaceFullPath: "/healthz" } },
        }],
        backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: "backend" }],
      }],
    },
  };
}

export async function create(
  api: KubeApi,
  path: string,
  body: Record<string, unknown>,
): Promise<void> {
  await api.request({ method: "POST", path, body });
}

/** A merge patch of an object. */
export async function patch(api: KubeApi, path: string, body: unknown): Promise<void> {
  await api.request({ method: "PATCH", path, body, contentType: MERGE_PATCH });
}

/** Does something to many, a few at a time. */
export async function inParallel<T>(
  items: readonly T[],
  { width, run }: { width: number; run: (item: T) => Promise<void> },
): Promise<void> {
  const queue = items.values();
  await Promise.all(Array.from({ length: width }, async () => {
    for (const item of queue) await run(item);
  }));
}

/** Values of a pod's metrics: `name{labels}` → value. */
export async function metricsOf(address: string): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${address}:${HEALTH_PORT}/metrics`)).text();
  return new Map(
    text.split("\n").flatMap((line) => {
      const at = line.lastIndexOf(" ");
      return line.startsWith("#") || at < 0
        ? []
        : [[line.slice(0, at), Number(line.slice(at + 1))]];
    }),
  );
}

/** Asks every 20 ms until the answer is not undefined; throws with `what` when it never is. */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  { patience = PATIENCE } = {},
): Promise<T> {
  const until = performance.now() + patience;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > until) throw new Error(`${what}: not within ${patience} ms`);
    await systemClock.delay(20);
  }
}

async function podAddresses(api: KubeApi, app: string): Promise<string[]> {
  const { items } = await api.request({
    method: "GET",
    path: `/api/v1/namespaces/${SYSTEM}/pods`,
    query: [["labelSelector", `app.kubernetes.io/name=${app}`]],
  });
  return (Array.isArray(items) ? items : []).flatMap((item) => {
    const state = podState(parseRawObject(item));
    return state?.ready && !state.terminating ? [state.address] : [];
  });
}

async function leaderAddress(api: KubeApi): Promise<string> {
  const lease = await api.request({
    method: "GET",
    path: `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/light-k8s-gateway-controller`,
  });
  const holder = asRecord(lease.spec)?.holderIdentity;
  const pod = await api.request({
    method: "GET",
    path: `/api/v1/namespaces/${SYSTEM}/pods/${String(holder)}`,
  });
  const state = podState(parseRawObject(pod));
  if (state === undefined) throw new Error(`the pod ${String(holder)} of the leader has ended`);
  return state.address;
}

/** The port that the fleet got for the Gateway's, once its Service says so. */
function fleetPort(api: KubeApi): Promise<number> {
  return waitFor("the Gateway's Service", async () => {
    const { items } = await api.request({
      method: "GET",
      path: `/api/v1/namespaces/${NAMESPACE}/services`,
      query: [["labelSelector", "gateway.networking.k8s.io/gateway-name=bench"]],
    });
    const [service] = Array.isArray(items) ? items : [];
    const ports = asRecord(asRecord(service)?.spec)?.ports;
    const port = asRecord(Array.isArray(ports) ? ports[0] : undefined)?.targetPort;
    return typeof port === "number" ? port : undefined;
  });
}

async function deleteNamespace(api: KubeApi): Promise<void> {
  const path = `/api/v1/namespaces/${NAMESPACE}`;
  const gone = (error: unknown) => {
    if (error instanceof KubeApiError && error.status === 404) return true;
    throw error;
  };
  if (await api.request({ method: "DELETE", path }).then(() => false, gone)) return;
  await waitFor(`the end of namespace ${NAMESPACE}`, async () => {
    return await api.request({ method: "GET", path }).then(() => undefined, gone);
  }, { patience: DELETION });
}
