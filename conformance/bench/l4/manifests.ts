/** The manifests of `bench l4`: a Gateway with a TCPRoute, a TLSRoute and a UDPRoute to one Service. */
import { stringify } from "@std/yaml";

export interface L4Ports {
  tcp: number;
  tls: number;
  udp: number;
}

export interface L4ManifestOptions {
  /** Of the listeners. */
  port: L4Ports;
  /** Of TCP and of UDP, on loopback. */
  backendPort: number;
  /** What the TLSRoute, which passes TLS through, has as its hostname. */
  serverName: string;
}

/** One object each. */
export function l4Manifests({ port, backendPort, serverName }: L4ManifestOptions): string[] {
  const api = "gateway.networking.k8s.io/v1";
  const metadata = (name: string) => ({ name, namespace: "bench" });
  const { tcp, tls, udp } = port;
  const ports = (["TCP", "UDP"] as const).map((protocol) => ({
    name: protocol.toLowerCase(),
    port: protocol === "TCP" ? 1 : 2,
    protocol,
  }));
  const route = (kind: string, section: string, spec: Record<string, unknown> = {}) => ({
    apiVersion: api,
    kind,
    metadata: metadata(section),
    spec: {
      parentRefs: [{ name: "bench", sectionName: section }],
      rules: [{ backendRefs: [{ name: "backend", port: section === "udp" ? 2 : 1 }] }],
      ...spec,
    },
  });
  const objects = [
    {
      apiVersion: api,
      kind: "GatewayClass",
      metadata: { name: "light-k8s-gateway" },
      spec: { controllerName: "networknt.com/light-k8s-gateway" },
    },
    {
      apiVersion: api,
      kind: "Gateway",
      metadata: metadata("bench"),
      spec: {
        gatewayClassName: "light-k8s-gateway",
        listeners: [
          { name: "tcp", protocol: "TCP", port: tcp },
          { name: "tls", protocol: "TLS", port: tls, tls: { mode: "Passthrough" } },
          { name: "udp", protocol: "UDP", port: udp },
        ],
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata("backend"),
      spec: { ports },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata("backend-a"), labels: { "kubernetes.io/service-name": "backend" } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["127.0.0.1"] }],
      ports: ports.map(({ name, protocol }) => ({ name, protocol, port: backendPort })),
    },
    route("TCPRoute", "tcp"),
    route("TLSRoute", "tls", { hostnames: [serverName] }),
    route("UDPRoute", "udp"),
  ];
  return objects.map((object) => stringify(object));
}
