/** Manifests of Gateways and routes of connections and datagrams. */
import { stringify } from "@std/yaml";

const API = "gateway.networking.k8s.io/v1";
const metadata = (name: string) => ({ name, namespace: "e2e" });

/** Several objects as one file. */
export function manifest(objects: readonly object[]): string {
  return objects.map((object) => stringify(object)).join("---\n");
}

/** GatewayClass and Gateway `edge`, with listeners as the API has them, and what else its spec says. */
export function streamGateway(listeners: readonly object[], more: object = {}): object[] {
  return [
    {
      apiVersion: API,
      kind: "GatewayClass",
      metadata: { name: "light-k8s-gateway" },
      spec: { controllerName: "networknt.com/light-k8s-gateway" },
    },
    {
      apiVersion: API,
      kind: "Gateway",
      metadata: metadata("edge"),
      spec: { gatewayClassName: "light-k8s-gateway", ...more, listeners },
    },
  ];
}

/** The settings of a TLS listener that shows the certificate of a Secret. */
export function terminate(secret: string) {
  return { mode: "Terminate", certificateRefs: [{ name: secret }] };
}

export interface StreamRouteOptions {
  name: string;
  /** Of the listener. */
  section: string;
  /** Name of a Service, whose port is 1. */
  to: string;
  hostnames?: readonly string[];
}

export function streamRoute(
  kind: "GRPCRoute" | "TCPRoute" | "TLSRoute" | "UDPRoute",
  { name, section, to, hostnames }: StreamRouteOptions,
): object {
  return {
    apiVersion: API,
    kind,
    metadata: metadata(name),
    spec: {
      parentRefs: [{ name: "edge", sectionName: section }],
      ...(hostnames === undefined ? {} : { hostnames }),
      rules: [{ backendRefs: [{ name: to, port: 1 }] }],
    },
  };
}

/** A Service of one endpoint on this machine; its port is 1. */
export function localService(
  name: string,
  { port, protocol = "TCP" }: { port: number; protocol?: "TCP" | "UDP" },
): object[] {
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata(name),
      spec: { ports: [{ name: "p", port: 1, protocol }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata(`${name}-a`), labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["127.0.0.1"] }],
      ports: [{ name: "p", port, protocol }],
    },
  ];
}

/** Connections to a Service are secured: its certificate has the name, by this authority. */
export function backendTls(
  service: string,
  { hostname, authority }: { hostname: string; authority: string },
): object[] {
  return [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata(`${service}-ca`),
      data: { "ca.crt": authority },
    },
    {
      apiVersion: API,
      kind: "BackendTLSPolicy",
      metadata: metadata(service),
      spec: {
        targetRefs: [{ group: "", kind: "Service", name: service }],
        validation: {
          hostname,
          caCertificateRefs: [{ group: "", kind: "ConfigMap", name: `${service}-ca` }],
        },
      },
    },
  ];
}
