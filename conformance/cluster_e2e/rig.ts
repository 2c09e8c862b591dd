/** A namespace with a Gateway, an echo Deployment and a route, for one test. */
import { assert } from "@std/assert";
import { systemClock } from "../../shared/lib/clock.ts";
import { asRecord } from "../../controller/source/decode/decoder.ts";
import { openAccess } from "../../controller/source/kubernetes/access.ts";
import { KubeApi, KubeApiError, MERGE_PATCH } from "../../controller/source/kubernetes/api.ts";
import { findKubectl, type Kubectl } from "../../shared/lib/kubectl.ts";
import { clusterPaths, currentKubeconfig } from "../cluster/paths.ts";
import { KUBERNETES_VERSION } from "../cluster/versions.ts";
import { get, type RawResponse, type Target } from "../e2e/raw_client.ts";
import { eventually } from "../e2e/wait.ts";
import { echoManifests, type EchoOptions, gatewayManifest, routeManifest } from "./manifests.ts";

export const HOST = "shop.example.com";

export interface Rig {
  api: KubeApi;
  kubectl: Kubectl;
  namespace: string;
  /** Of the Gateway `edge`: `gateway/<namespace>/edge`. */
  scope: string;
  target: Target;
  /** Creates or changes objects. */
  apply(...objects: object[]): Promise<void>;
  /** Marks what the route answers with; resolves when the API server has it, with the generation. */
  mark(mark: string): Promise<number>;
  /** Resolves when answers carry the mark. */
  marked(mark: string): Promise<void>;
}

export interface RigOptions {
  echo?: EchoOptions;
  /** Default: one HTTP listener on port 80. */
  listeners?: object[];
  /** Instead of the default class. */
  className?: string;
}

/** The kubeconfig in use: KUBECONFIG, else the one of `deno task cluster up`. */
export function kubeconfigPath(): string {
  return currentKubeconfig(
    Deno.env,
    clusterPaths(Deno.env, { kubernetes: KUBERNETES_VERSION }),
  ).path;
}

/** Runs a test with access to the API server and a namespace that is empty. */
export async function withNamespace(
  name: string,
  run: (rig: Pick<Rig, "api" | "kubectl" | "namespace" | "apply">) => Promise<void>,
): Promise<void> {
  const access = await openAccess({ kind: "kubeconfig", path: kubeconfigPath() }, systemClock);
  const api = new KubeApi({ access, userAgent: "light-k8s-gateway-e2e" });
  const found = await findKubectl(Deno.env);
  const kubectl: Kubectl = (args, options) =>
    found([`--kubeconfig=${kubeconfigPath()}`, ...args], options);
  const namespace = `lgw-e2e-${name}`;
  const path = `/api/v1/namespaces/${namespace}`;
  try {
    await deleteNamespace(api, path);
    await eventually(`namespace ${namespace} of an earlier run is gone`, async () => {
      return await api.request({ method: "GET", path }).then(() => false, isNotFound);
    }, { within: 120_000 });
    await api.request({
      method: "POST",
      path: "/api/v1/namespaces",
      body: { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    });
    const apply = async (...objects: object[]) => {
      const list = { apiVersion: "v1", kind: "List", items: objects };
      const args = ["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"];
      await kubectl(args, { stdin: JSON.stringify(list) });
    };
    await run({ api, kubectl, namespace, apply });
  } finally {
    // It goes in its own time.
    await deleteNamespace(api, path);
    access.close();
  }
}

/** The same, with a Gateway that answers for `shop.example.com`. */
export async function withGateway(
  name: string,
  options: RigOptions,
  run: (rig: Rig) => Promise<void>,
): Promise<void> {
  await withNamespace(name, async ({ api, kubectl, namespace, apply }) => {
    const { className, listeners } = options;
    await apply(
      ...echoManifests(options.echo),
      gatewayManifest("edge", {
        ...(className === undefined ? {} : { className }),
        ...(listeners === undefined ? {} : { listeners }),
      }),
      routeManifest("shop", { gateway: "edge", host: HOST }),
    );
    const target = await gatewayTarget(api, { namespace, name: "edge" });
    const route = objectPath(namespace, "httproutes", "shop");
    const rig: Rig = {
      api,
      kubectl,
      namespace,
      scope: `gateway/${namespace}/edge`,
      target,
      apply,
      mark: async (mark) => {
        const { spec } = routeManifest("shop", { gateway: "edge", host: HOST, mark });
        const { metadata } = await patch(api, route, { spec });
        return Number(asRecord(metadata)?.generation);
      },
      marked: (mark) => answers(target, { host: HOST, mark }),
    };
    await answers(target, { host: HOST });
    await run(rig);
  });
}

/** Address and port 80 of a Gateway, once its status says so. */
export async function gatewayTarget(
  api: KubeApi,
  { namespace, name }: { namespace: string; name: string },
): Promise<Target> {
  const path = objectPath(namespace, "gateways", name);
  const hostname = await eventually(
    `Gateway ${name} has an address and is programmed`,
    async () => {
      const { status } = await api.request({ method: "GET", path });
      const record = asRecord(status);
      const addresses = Array.isArray(record?.addresses) ? record.addresses : [];
      const value = asRecord(addresses[0])?.value;
      const programmed = conditionsOf(record).get("Programmed");
      return programmed?.status === "True" && typeof value === "string" && value;
    },
    { within: 60_000 },
  );
  return { hostname, port: 80 };
}

/** Resolves when a request is answered with 200, by the route with the mark if there is one. */
export async function answers(
  target: Target,
  { host, mark, within = 30_000 }: { host: string; mark?: string; within?: number },
): Promise<void> {
  let last: RawResponse | undefined;
  const what = mark === undefined ? `${host} answers` : `${host} answers with mark ${mark}`;
  await eventually(what, async () => {
    last = await get(target, { host });
    return last.status === 200 && (mark === undefined || last.headers.get("x-mark") === mark);
  }, { within }).catch((error) => {
    throw new Error(`${error.message}; last ${last?.status} ${last?.headers.get("x-mark")}`);
  });
}

export interface Condition {
  status: string;
  reason: string;
  observedGeneration: number;
}

/** Conditions of a status (or of a listener's, or a parent's), by type. */
export function conditionsOf(status: unknown): Map<string, Condition> {
  const { conditions } = asRecord(status) ?? {};
  return new Map((Array.isArray(conditions) ? conditions : []).map((entry) => {
    const { type, status, reason, observedGeneration } = asRecord(entry) ?? {};
    return [String(type), {
      status: String(status),
      reason: String(reason),
      observedGeneration: Number(observedGeneration),
    }];
  }));
}

/** The entries of a route's status, by controller. */
export function parentsOf(route: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const parents = asRecord(route.status)?.parents;
  return new Map((Array.isArray(parents) ? parents : []).map((entry) => [
    String(asRecord(entry)?.controllerName),
    entry,
  ]));
}

export const OURS = "networknt.com/light-k8s-gateway";

/** The generation that a route's status of ours speaks of; NaN without one. */
export async function statusGeneration(api: KubeApi, path: string): Promise<number> {
  const parent = parentsOf(await api.request({ method: "GET", path })).get(OURS);
  return conditionsOf(parent).get("Accepted")?.observedGeneration ?? NaN;
}

/** Resolves when the route's status of ours says that this generation is accepted. */
export async function accepted(api: KubeApi, path: string, generation: number): Promise<void> {
  await eventually(`generation ${generation} of ${path} is accepted`, async () => {
    return await statusGeneration(api, path) >= generation;
  });
}

/** A path of `gateway.networking.k8s.io/v1`. */
export function objectPath(namespace: string, plural: string, name = ""): string {
  const path = `/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/${plural}`;
  return name === "" ? path : `${path}/${name}`;
}

export async function patch(
  api: KubeApi,
  path: string,
  body: unknown,
): Promise<Record<string, unknown>> {
  return await api.request({ method: "PATCH", path, body, contentType: MERGE_PATCH });
}

/** The objects of a collection. */
export async function listOf(
  api: KubeApi,
  path: string,
  labelSelector?: string,
): Promise<Record<string, unknown>[]> {
  const { items } = await api.request({
    method: "GET",
    path,
    ...(labelSelector === undefined ? {} : { query: [["labelSelector", labelSelector]] }),
  });
  assert(Array.isArray(items));
  return items.map((item) => asRecord(item) ?? {});
}

/** For a rejected request: true when there is no such object, else it rejects again. */
export function isNotFound(error: unknown): true {
  if (error instanceof KubeApiError && error.status === 404) return true;
  throw error;
}

async function deleteNamespace(api: KubeApi, path: string): Promise<void> {
  await api.request({ method: "DELETE", path }).catch((error) => {
    if (error instanceof KubeApiError && (error.status === 404 || error.status === 409)) return;
    throw error;
  });
}
