/** What a Gateway wants around it: a Service with which settings, or addresses that others manage. */
import type { GatewayDecision } from "../attach/gateways.ts";
import type { Gateway, Labels } from "./objects.ts";
import { listenerPorts } from "./scope.ts";

export type ServiceType = "LoadBalancer" | "ClusterIP" | "NodePort";

/** What the Service of a Gateway is like. */
export interface ServiceSettings {
  type: ServiceType;
  annotations?: Labels;
  loadBalancerClass?: string;
  /** Default `Cluster`. */
  externalTrafficPolicy?: "Cluster" | "Local";
}

export type InfrastructurePlan =
  /**
   * A Service of ours with these ports (keys of `port_keys.ts`, sorted), also reached at the IP addresses that were asked
   * for. `assign`: the address that the cluster gives it counts as one of the Gateway's.
   */
  | {
    mode: "service";
    service: ServiceSettings;
    ports: readonly number[];
    addresses: readonly string[];
    assign: boolean;
  }
  /** No Service: others bring traffic to the fleet, at these addresses. */
  | { mode: "unmanaged"; addresses: readonly string[] }
  /** The Gateway is refused: what is there stays, so that a mistake costs no address. */
  | { mode: "keep" };

export interface GatewayInfrastructure {
  namespace: string;
  name: string;
  uid: string;
  className: string;
  /** Seconds since the epoch. */
  created: number;
  /** `spec.infrastructure`, for everything that is made for the Gateway. */
  labels: Labels;
  annotations: Labels;
  plan: InfrastructurePlan;
}

/** What a Gateway wants around it. */
export function gatewayInfrastructure(decision: GatewayDecision): GatewayInfrastructure {
  return { ...keptInfrastructure(decision.gateway), plan: planOf(decision) };
}

/** What is around a Gateway that is refused: whatever there was. */
export function keptInfrastructure({ meta, spec }: Gateway): GatewayInfrastructure {
  const { namespace, name, uid, created } = meta;
  return {
    namespace,
    name,
    uid,
    className: spec.gatewayClassName,
    created,
    labels: spec.infrastructure?.labels ?? {},
    annotations: spec.infrastructure?.annotations ?? {},
    plan: { mode: "keep" },
  };
}

function planOf(decision: GatewayDecision): InfrastructurePlan {
  const { accepted, settings: { service, unmanaged }, addresses: { asked, assign } } = decision;
  const ports = listenerPorts(decision);
  if (!accepted.ok || ports.length === 0) return { mode: "keep" };
  if (unmanaged !== undefined) {
    return { mode: "unmanaged", addresses: assign ? unmanaged : asked };
  }
  return { mode: "service", service, ports, addresses: asked, assign };
}
