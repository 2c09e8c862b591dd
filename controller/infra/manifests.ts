/** The Kubernetes objects that are written for Gateways, and what is read back of them. */
import type { Labels, ServicePort } from "../model/objects.ts";
import type { ServiceType } from "../model/infrastructure.ts";

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller: boolean;
}

export interface ManifestMeta {
  namespace: string;
  name: string;
  labels: Labels;
  annotations: Labels;
  ownerReferences: readonly OwnerReference[];
}

/** A port of a Service; `targetPort` is the port of the fleet. */
export interface ServicePortManifest extends Required<Pick<ServicePort, "name" | "port">> {
  protocol: "TCP" | "UDP";
  targetPort: number;
}

export interface ServiceManifest {
  apiVersion: "v1";
  kind: "Service";
  metadata: ManifestMeta;
  /** Without a selector: endpoints are in slices of ours. */
  spec: {
    type: ServiceType;
    ports: readonly ServicePortManifest[];
    externalIPs?: readonly string[];
    externalTrafficPolicy?: "Cluster" | "Local";
    loadBalancerClass?: string;
  };
}

export interface EndpointManifest {
  addresses: readonly string[];
  conditions: { ready: boolean; serving: boolean; terminating: boolean };
  nodeName?: string;
  zone?: string;
  targetRef?: { kind: "Pod"; namespace: string; name: string };
}

export interface EndpointSliceManifest {
  apiVersion: "discovery.k8s.io/v1";
  kind: "EndpointSlice";
  metadata: ManifestMeta;
  addressType: "IPv4" | "IPv6";
  ports: readonly { name: string; port: number; protocol: "TCP" | "UDP" }[];
  endpoints: readonly EndpointManifest[];
}

export type Manifest = ServiceManifest | EndpointSliceManifest;
