/** The manifests of a benchmark: one Gateway, many routes, one object per file. */
import { stringify } from "@std/yaml";

export const HOST = "bench.example.com";

/** The Gateway's declared port. */
const GATEWAY_PORT = 80;
/** Where standalone serves it. */
export const LOCAL_PORT = 8080;
/** The port of the HTTPS listener, and where standalone serves it. */
const TLS_PORT = 443;
export const LOCAL_TLS_PORT = 8443;

const metadata = (name: string) => ({ name, namespace: "bench" });

export interface RouteManifest {
  name: string;
  host: string;
  prefix: string;
  backend: string;
  /** Default: a LightBackend. */
  backendKind?: "LightBackend" | "Service";
  /** Value of the request header `x-route` that the route sets. */
  header: string;
}

/** One HTTPRoute with one header filter. A Service is asked on port 80. */
export function routeManifest(route: RouteManifest): string {
  const { name, host, prefix, backend, backendKind = "LightBackend", header } = route;
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
        backendRefs: [
          backendKind === "Service"
            ? { name: backend, port: 80 }
            : { group: "gateway.lightapi.net", kind: "LightBackend", name: backend },
        ],
      }],
    },
  });
}

export interface GrpcRouteManifest {
  name: string;
  host: string;
  /** Any of these is the route's. */
  methods: readonly GrpcMethod[];
  /** LightBackends → weights. */
  backends: Readonly<Record<string, number>>;
  /** A header that the route sets in the request. */
  header: { name: string; value: string };
}

export interface GrpcMethod {
  service: string;
  /** Default: any. */
  method?: string;
}

/** One GRPCRoute with one header filter, to LightBackends. */
export function grpcRouteManifest(route: GrpcRouteManifest): string {
  return stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GRPCRoute",
    metadata: metadata(route.name),
    spec: {
      parentRefs: [{ name: "bench" }],
      hostnames: [route.host],
      rules: [{
        matches: route.methods.map((method) => ({ method })),
        filters: [{
          type: "RequestHeaderModifier",
          requestHeaderModifier: { set: [route.header] },
        }],
        backendRefs: Object.entries(route.backends).map(([name, weight]) => ({
          group: "gateway.lightapi.net",
          kind: "LightBackend",
          name,
          weight,
        })),
      }],
    },
  });
}

export interface FolderOptions {
  /** Number of routes `/r0` … on {@linkcode HOST}. */
  routes: number;
  /** Backend name → loopback port. */
  backends: Readonly<Record<string, number>>;
  /** What the backends speak. Default: HTTP/1.1. */
  protocol?: "h2c";
  /** PEM of an HTTPS listener; absent = there is none. */
  tls?: { certificate: string; key: string };
}

/** Writes class, Gateway, backends and routes into `folder`. The routes use the first backend. */
export async function writeManifests(folder: string, options: FolderOptions): Promise<void> {
  const { tls } = options;
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
      listeners: [
        { name: "http", protocol: "HTTP", port: GATEWAY_PORT },
        ...(tls === undefined ? [] : [{
          name: "https",
          protocol: "HTTPS",
          port: TLS_PORT,
          tls: { certificateRefs: [{ name: "bench-tls" }] },
        }]),
      ],
    },
  });
  if (tls !== undefined) {
    await write("secret", {
      apiVersion: "v1",
      kind: "Secret",
      metadata: metadata("bench-tls"),
      type: "kubernetes.io/tls",
      stringData: { "tls.crt": tls.certificate, "tls.key": tls.key },
    });
  }
  for (const [name, port] of Object.entries(options.backends)) {
    await write(`backend-${name}`, {
      apiVersion: "gateway.lightapi.net/v1alpha1",
      kind: "LightBackend",
      metadata: metadata(name),
      spec: {
        ...(options.protocol === undefined ? {} : { protocol: options.protocol }),
        endpoints: [{ address: "127.0.0.1", port }],
      },
    });
  }
  const backend = Object.keys(options.backends)[0] as string;
  for (let i = 0; i < options.routes; i++) {
    const route = { name: `r${i}`, host: HOST, prefix: `/r${i}`, backend, header: `r${i}` };
    await write(`route-${i}`, routeManifest(route));
  }
}

/** A Service whose endpoints are in a slice of their own. */
export function serviceManifest(name: string): string {
  return stringify({
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(name),
    spec: { ports: [{ port: 80 }] },
  });
}

/** The endpoints of a Service, on loopback. */
export function sliceManifest(service: string, ports: readonly number[]): string {
  return ports.map((port, index) =>
    stringify({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        ...metadata(`${service}-${index}`),
        labels: { "kubernetes.io/service-name": service },
      },
      addressType: "IPv4",
      endpoints: [{ addresses: ["127.0.0.1"] }],
      ports: [{ port }],
    })
  ).join("---\n");
}

/** Writes a file beside and moves it into place, as editors and tools do. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}

/** Rewrites the n-th route. */
export async function replaceRoute(
  folder: string,
  index: number,
  route: RouteManifest,
): Promise<void> {
  await replaceFile(`${folder}/route-${index}.yaml`, routeManifest(route));
}

/** Removes the first `count` routes. */
export async function removeRoutes(folder: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Deno.remove(`${folder}/route-${i}.yaml`);
}
