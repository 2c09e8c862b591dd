/** What our own Services tell after a restart: fleet ports that are in use, addresses they got. */
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import { asRecord } from "../source/decode/decoder.ts";
import { type StatusAddress, statusAddressOf } from "../status/gateway.ts";
import { type ExistingObject, records, type Stored } from "./existing.ts";
import { portKey } from "../model/port_keys.ts";
import { serviceName } from "./names.ts";
import { ownerScope } from "./ownership.ts";

/**
 * Scope → port of the Gateway → port of the fleet, as `allocateBinds` takes it for `previous`: a
 * restarted controller moves nobody.
 */
export function bindsOfServices(
  existing: readonly ExistingObject[],
  { controllerName }: { controllerName: string },
): Map<string, Map<number, number>> {
  const binds = new Map<string, Map<number, number>>();
  for (const object of existing) {
    if (object.kind !== "Service") continue;
    const scope = ownerScope(object, controllerName);
    if (scope === undefined) continue;
    const own = binds.get(scope) ?? new Map<number, number>();
    for (const { port, targetPort, protocol } of records(asRecord(object.stored.spec)?.ports)) {
      if (typeof port !== "number" || typeof targetPort !== "number") continue;
      own.set(portKey(port, protocol === "UDP" ? "UDP" : "TCP"), targetPort);
    }
    binds.set(scope, own);
  }
  return binds;
}

/**
 * The addresses of a Gateway: those it asked for, else what its Service got; in unmanaged mode the
 * configured ones. Empty while there is none.
 */
export function gatewayAddresses(
  { namespace, name, className, plan }: GatewayInfrastructure,
  services: { get(namespace: string, name: string): ExistingObject | undefined },
): StatusAddress[] {
  if (plan.mode === "unmanaged") return plan.addresses.map(statusAddressOf);
  const service = services.get(namespace, serviceName(name, className));
  if (service === undefined || service.deleting) return [];
  const spec = asRecord(service.stored.spec) ?? {};
  const given = new Set(texts(spec.externalIPs));
  const asked = plan.mode === "service" ? plan.addresses : [];
  const got = asked.filter((address) => given.has(address)).map(statusAddressOf);
  return plan.mode === "service" && !plan.assign ? got : [...got, ...assigned(service, spec)];
}

/** What the cluster gave a Service. */
function assigned(service: ExistingObject, spec: Stored): StatusAddress[] {
  if (spec.type === "LoadBalancer") {
    const ingress = records(asRecord(asRecord(service.stored.status)?.loadBalancer)?.ingress);
    return ingress.flatMap(({ ip, hostname }) => {
      const address = typeof ip === "string" && ip !== "" ? ip : hostname;
      return typeof address === "string" && address !== "" ? [statusAddressOf(address)] : [];
    });
  }
  return texts(spec.clusterIPs ?? [spec.clusterIP]).filter((ip) => ip !== "None" && ip !== "")
    .map(statusAddressOf);
}

function texts(value: unknown): string[] {
  return (Array.isArray(value) ? value : []).filter((entry) => typeof entry === "string");
}
