/** The EndpointSlices of a Gateway's Service: the pods of the fleet that bound each port. */
import { isIPv4, isIPv6 } from "node:net";
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import type { EndpointManifest, EndpointSliceManifest, ServicePortManifest } from "./manifests.ts";
import { sliceName } from "./names.ts";
import { ownedMeta } from "./ownership.ts";

/** A pod of the fleet. */
export interface FleetPod {
  /** Name of the Pod, in `namespace` when that is given. */
  name: string;
  namespace?: string;
  /** IP address. */
  address: string;
  /** Fleet ports that it last acknowledged as bound. */
  bound: readonly number[];
  ready: boolean;
  terminating?: boolean;
  nodeName?: string;
  zone?: string;
}

/** The API server takes no more endpoints in one slice. */
const LARGEST = 1000;
const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
const SLICE_MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by";

/** Selector-less: without slices of ours the Service leads nowhere (selectors end at namespaces). */
export function endpointSlices(
  gateway: GatewayInfrastructure,
  { service, ports, fleet, controllerName }: {
    service: string;
    ports: readonly ServicePortManifest[];
    fleet: readonly FleetPod[];
    controllerName: string;
  },
): EndpointSliceManifest[] {
  return ports.flatMap(({ name, port, protocol, targetPort }) => {
    const bound = fleet.filter((pod) => pod.bound.includes(targetPort));
    return (["IPv4", "IPv6"] as const).flatMap((family) => {
      const endpoints = bound.filter(({ address }) => isFamily(address, family))
        .sort((a, b) => a.address < b.address ? -1 : a.address > b.address ? 1 : 0)
        .map(endpoint);
      // One slice is there even when it is empty: the port exists, nobody serves it yet.
      const parts = family === "IPv4" ? Math.max(1, partsOf(endpoints)) : partsOf(endpoints);
      return Array.from({ length: parts }, (_, part): EndpointSliceManifest => ({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: ownedMeta(gateway, {
          name: sliceName(service, { port, protocol, family, part }),
          controllerName,
          labels: {
            [SERVICE_NAME_LABEL]: service,
            [SLICE_MANAGER_LABEL]: "light-k8s-gateway",
          },
        }),
        addressType: family,
        ports: [{ name, port: targetPort, protocol }],
        endpoints: endpoints.slice(part * LARGEST, (part + 1) * LARGEST),
      }));
    });
  });
}

function partsOf(endpoints: readonly EndpointManifest[]): number {
  return Math.ceil(endpoints.length / LARGEST);
}

function isFamily(address: string, family: "IPv4" | "IPv6"): boolean {
  return family === "IPv4" ? isIPv4(address) : isIPv6(address);
}

function endpoint(pod: FleetPod): EndpointManifest {
  const { name, namespace, address, ready, terminating = false, nodeName, zone } = pod;
  return {
    addresses: [address],
    // A pod that drains still serves: connections go there while nothing else is ready (KEP-1669).
    conditions: { ready: ready && !terminating, serving: ready, terminating },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    ...(namespace === undefined ? {} : { targetRef: { kind: "Pod", namespace, name } }),
  };
}
