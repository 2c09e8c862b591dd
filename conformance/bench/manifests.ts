/** The manifests of a benchmark: one Gateway, many routes, one object per file. */
import { stringify } from "@std/yaml";

export const HOST = "bench.example.com";

/** The Gateway's declared port. */
const GATEWAY_PORT = 80;
/** Where standalone serves it. */
export const LOCAL_PORT = 8080;

const metadata = (name: string) => ({ name, namespace: "bench" });

export interface RouteManifest {
  name: string;
  host: string;
  prefix: string;
  backend: string;
  /** Value of the request header `x-route` that the route sets. */
  header: string;
}

/** One HTTPRoute with one header filter. */
export function routeManifest({ name, host, prefix, backend, header }: RouteManifest): string {
  return stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: metadata(name),
    spec: {
      parentRefs: [{ name: "bench" }],
      hostnames: [host],
      rules: [{
        matches: [{ path: { type: "PathPrefix", value: prefix } }],
        filters: [{
          type: "RequestHeaderModifier",
          requestHeaderModifier: { set: [{ name: "x-route", value: header }] },
        }],
        backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: backend }],
      }],
    },
  });
}

export interface FolderOptions {
  /** Number of routes `/r0` … on {@linkcode HOST}. */
  routes: number;
  /** Backend name → loopback port. */
  backends: Readonly<Record<string, number>>;
}

/** Writes class, Gateway, backends and routes into `folder`. The routes use the first backend. */
export async function writeManifests(folder: string, options: FolderOptions): Promise<void> {
  const write = (name: string, value: unknown) =>
    Deno.writeTextFile(
      `${folder}/${name}.yaml`,
      typeof value === "string" ? value : stringify(value),
    );
  await write("class", {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GatewayClass",
    metadata: { name: "light-k8s-gateway" },
    spec: { controllerName: "networknt.com/light-k8s-gateway" },
  });
  await write("gateway", {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: metadata("bench"),
    spec: {
      gatewayClassName: "light-k8s-gateway",
      listeners: [{ name: "http", protocol: "HTTP", port: GATEWAY_PORT }],
    },
  });
  for (const [name, port] of Object.entries(options.backends)) {
    await write(`backend-${name}`, {
      apiVersion: "gateway.lightapi.net/v1alpha1",
      kind: "LightBackend",
      metadata: metadata(name),
      spec: { endpoints: [{ address: "127.0.0.1", port }] },
    });
  }
  const backend = Object.keys(options.backends)[0] as string;
  for (let i = 0; i < options.routes; i++) {
    const route = { name: `r${i}`, host: HOST, prefix: `/r${i}`, backend, header: `r${i}` };
    await write(`route-${i}`, routeManifest(route));
  }
}
