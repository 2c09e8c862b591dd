/** The manifests of the tests: one Gateway, and whatever a test puts beside it. */
import { stringify } from "@std/yaml";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import type { SelfSigned } from "../../shared/secrets/self_signed.ts";

const NAMESPACE = "e2e";
const GATEWAY_API = "gateway.networking.k8s.io/v1";

/** Keys of objects and scopes as `/status` and `/metrics` name them. */
export const GATEWAY_KEY = `Gateway/${NAMESPACE}/edge`;
export const SCOPE = `gateway/${NAMESPACE}/edge`;

const metadata = (name: string) => ({ name, namespace: NAMESPACE });

export interface HttpsListener {
  name: string;
  port: number;
  hostname?: string;
  /** Name of a Secret. */
  secret: string;
}

export interface GatewayOptions {
  /** Port of the plaintext listener `http`. */
  http: number;
  https?: readonly HttpsListener[];
}

/** GatewayClass and Gateway `edge`, as one file. */
export function gateway({ http, https = [] }: GatewayOptions): string {
  return [
    stringify({
      apiVersion: GATEWAY_API,
      kind: "GatewayClass",
      metadata: { name: "light-k8s-gateway" },
      spec: { controllerName: "networknt.com/light-k8s-gateway" },
    }),
    stringify({
      apiVersion: GATEWAY_API,
      kind: "Gateway",
      metadata: metadata("edge"),
      spec: {
        gatewayClassName: "light-k8s-gateway",
        listeners: [
          { name: "http", protocol: "HTTP", port: http },
          ...https.map(({ name, port, hostname, secret }) => ({
            name,
            protocol: "HTTPS",
            port,
            ...(hostname === undefined ? {} : { hostname }),
            tls: { mode: "Terminate", certificateRefs: [{ name: secret }] },
          })),
        ],
      },
    }),
  ].join("---\n");
}

export interface RouteOptions {
  host: string;
  /** Name of a LightBackend. */
  backend: string;
  /** Name of the route. Default: the first label of the host. */
  name?: string;
  /** Such as `300ms`. */
  requestTimeout?: string;
}

/** An HTTPRoute for everything under a host. */
export function route(options: RouteOptions): string {
  const { host, backend, name = host.split(".")[0] as string, requestTimeout } = options;
  return stringify({
    apiVersion: GATEWAY_API,
    kind: "HTTPRoute",
    metadata: metadata(name),
    spec: {
      parentRefs: [{ name: "edge" }],
      hostnames: [host],
      rules: [{
        backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: backend }],
        ...(requestTimeout === undefined ? {} : { timeouts: { request: requestTimeout } }),
      }],
    },
  });
}

/** A LightBackend on a loopback port. */
export function backend(name: string, port: number): string {
  return stringify({
    apiVersion: "gateway.lightapi.net/v1alpha1",
    kind: "LightBackend",
    metadata: metadata(name),
    spec: { endpoints: [{ address: "127.0.0.1", port }] },
  });
}

/** A Secret with a certificate; without `key` it is one that somebody made wrongly. */
export function tlsSecret(
  name: string,
  { certificate, key, type = "kubernetes.io/tls" }: {
    certificate: string;
    key?: string;
    type?: "kubernetes.io/tls" | "Opaque";
  },
): string {
  return stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: metadata(name),
    type,
    stringData: { "tls.crt": certificate, ...(key === undefined ? {} : { "tls.key": key }) },
  });
}

const DAY = 24 * 3600 * 1000;

/** A certificate for the names, valid now. */
export function certificateFor(...names: string[]): Promise<SelfSigned> {
  const now = Date.now();
  return selfSigned({ names, notBefore: new Date(now - DAY), notAfter: new Date(now + DAY) });
}
