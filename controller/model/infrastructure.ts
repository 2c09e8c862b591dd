/** What a Gateway wants around it: a Service with which settings, or addresses that others manage. */
import type { GatewayDecision } from "../attach/gateways.ts";
import type { Labels } from "./objects.ts";
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
  /** A Service of ours with these ports (sorted), also reached at these IP addresses (sorted). */
  | {
    mode: "service";
    service: ServiceSettings;
    ports: readonly number[];
    addresses: readonly string[];
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
  /** `spec.infrastructure`, for everything that is made for the Gateway. */
  labels: Labels;
  annotations: Labels;
  plan: InfrastructurePlan;
}

/** What a Gateway wants around it. */
export function gatewayInfrastructure(decision: GatewayDecision): GatewayInfrastructure {
  const { meta: { namespace, name, uid }, spec } = decision.gateway;
  return {
    namespace,
    name,
    uid,
    className: spec.gatewayClassName,
    labels: spec.infrastructure?.labels ?? {},
    annotations: spec.infrastructure?.annotations ?? {},
    plan: planOf(decision),
  };
}

function planOf(decision: GatewayDecision): InfrastructurePlan {
  const ports = listenerPorts(decision);
  if (!decision.accepted.ok || ports.length === 0) return { mode: "keep" };
  return { mode: "service", service: { type: "LoadBalancer" }, ports, addresses: [] };
}
