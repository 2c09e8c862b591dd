/** The Services and EndpointSlices that the Gateways of a shared fleet want. */
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import { endpointSlices, type FleetPod } from "./endpoint_slices.ts";
import type { EndpointSliceManifest, ServiceManifest, ServicePortManifest } from "./manifests.ts";
import { portOfKey } from "../model/port_keys.ts";
import { serviceName } from "./names.ts";
import { ownedMeta } from "./ownership.ts";

export interface InfrastructureInput {
  /** Scope → port of the Gateway → port of the fleet. A port without one is not in its Service. */
  binds: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /**
   * Every pod of the fleet with what it last acknowledged; a pod that falls silent keeps its entry
   * as long as there is a Pod. Undefined = not known, as after a start or without the bus: then
   * slices stay as they are, for an empty answer would cut off every Gateway.
   */
  fleet: readonly FleetPod[] | undefined;
  controllerName: string;
}

/** What should be there. */
export interface DesiredInfrastructure {
  services: ServiceManifest[];
  endpointSlices: EndpointSliceManifest[];
  /** False: slices of wanted Services are not judged. */
  fleetKnown: boolean;
  /** Scopes of Gateways around which everything stays as it is. */
  kept: ReadonlySet<string>;
}

/** Sorted by age, then scope; the same input gives the same objects. */
export function desiredInfrastructure(
  gateways: ReadonlyMap<string, GatewayInfrastructure>,
  { binds, fleet, controllerName }: InfrastructureInput,
): DesiredInfrastructure {
  const services: ServiceManifest[] = [];
  const slices: EndpointSliceManifest[] = [];
  const kept = new Set<string>();
  const claims = new Set<string>();
  for (const [scope, gateway] of [...gateways].sort(byAge)) {
    const { plan } = gateway;
    if (plan.mode === "unmanaged") continue;
    const ports = plan.mode === "keep" ? [] : servicePorts(plan.ports, binds.get(scope));
    // The API server takes no Service without ports.
    if (plan.mode === "keep" || ports.length === 0) {
      kept.add(scope);
      continue;
    }
    const addresses = unclaimed({ addresses: plan.addresses, ports: plan.ports }, claims);
    const service = serviceOf(gateway, { plan, addresses, ports, controllerName });
    services.push(service);
    const { name } = service.metadata;
    slices.push(
      ...endpointSlices(gateway, { service: name, ports, fleet: fleet ?? [], controllerName }),
    );
  }
  return {
    services,
    endpointSlices: fleet === undefined ? [] : slices,
    fleetKnown: fleet !== undefined,
    kept,
  };
}

function byAge(
  [a, { created: x }]: [string, GatewayInfrastructure],
  [b, { created: y }]: [string, GatewayInfrastructure],
): number {
  return x === y ? (a < b ? -1 : 1) : x - y;
}

/**
 * Addresses of which no port is an older Gateway's: two Services with one external address and port
 * take each other's traffic.
 */
function unclaimed(
  { addresses, ports }: { addresses: readonly string[]; ports: readonly number[] },
  claims: Set<string>,
): string[] {
  const claim = (address: string, port: number) => `${address} ${port}`;
  const free = addresses.filter((address) =>
    !ports.some((port) => claims.has(claim(address, port)))
  );
  for (const address of free) for (const port of ports) claims.add(claim(address, port));
  return free;
}

function servicePorts(
  ports: readonly number[],
  binds: ReadonlyMap<number, number> | undefined,
): ServicePortManifest[] {
  return ports.flatMap((key) => {
    const targetPort = binds?.get(key);
    if (targetPort === undefined) return [];
    const { port, transport: protocol } = portOfKey(key);
    const name = protocol === "UDP" ? `port-${port}-udp` : `port-${port}`;
    return [{ name, port, protocol, targetPort }];
  });
}

function serviceOf(
  gateway: GatewayInfrastructure,
  { plan, addresses, ports, controllerName }: {
    plan: GatewayInfrastructure["plan"] & { mode: "service" };
    addresses: readonly string[];
    ports: ServicePortManifest[];
    controllerName: string;
  },
): ServiceManifest {
  const { type, annotations = {}, loadBalancerClass, externalTrafficPolicy } = plan.service;
  // The API server takes the policy only where something external is.
  const external = type !== "ClusterIP" || addresses.length > 0;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: ownedMeta(gateway, {
      name: serviceName(gateway.name, gateway.className),
      controllerName,
      annotations,
    }),
    spec: {
      type,
      ports,
      ...(addresses.length === 0 ? {} : { externalIPs: addresses }),
      ...(external ? { externalTrafficPolicy: externalTrafficPolicy ?? "Cluster" } : {}),
      ...(loadBalancerClass === undefined || type !== "LoadBalancer" ? {} : { loadBalancerClass }),
    },
  };
}
