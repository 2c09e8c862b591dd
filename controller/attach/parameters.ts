/** What GatewayParameters say of a class and of a Gateway, and whether they can be followed. */
import type { ServiceSettings } from "../model/infrastructure.ts";
import { type GatewayParameters, LIGHT_GROUP, type ParametersRef } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import { type AddressRanges, addressRanges } from "./address_ranges.ts";
import { refuse } from "./outcome.ts";

/** What a Gateway is to be like, with everything filled in. */
export interface GatewaySettings {
  service: ServiceSettings;
  /** Addresses that others bring traffic from; then there is no Service. */
  unmanaged: readonly string[] | undefined;
  /** Where the addresses that a Gateway asks for may lie. */
  allowed: AddressRanges;
  /** False: its requests are not in the access log. */
  accessLog: boolean;
  /** Bytes of a request body; undefined = the proxies' own bound alone. */
  maxBodyBytes: number | undefined;
}

/** Without parameters: a load balancer, and no choice of addresses. */
export const DEFAULT_SETTINGS: GatewaySettings = {
  service: { type: "LoadBalancer" },
  unmanaged: undefined,
  allowed: [],
  accessLog: true,
  maxBodyBytes: undefined,
};

export type ParametersDecision =
  | { ok: true; settings: GatewaySettings }
  | { ok: false; reason: "InvalidParameters"; message: string };

export interface ParametersContext {
  view: ClusterView;
  /** Names the reference in messages. */
  field: string;
  /** Where a reference without a namespace leads: a Gateway's own; none for a class. */
  namespace: string | undefined;
  /** What holds where the parameters say nothing. */
  base: GatewaySettings;
  level: "class" | "gateway";
}

/** Follows a parametersRef. No reference = the base. */
export function decideParameters(
  ref: ParametersRef | undefined,
  { view, field, namespace, base, level }: ParametersContext,
): ParametersDecision {
  if (ref === undefined) return { ok: true, settings: base };
  if (ref.group !== LIGHT_GROUP || ref.kind !== "GatewayParameters") {
    return refuse(
      "InvalidParameters",
      `${field}: ${ref.kind} "${ref.name}" of group "${ref.group}" is not read by this ` +
        `controller; use GatewayParameters of group "${LIGHT_GROUP}"`,
    );
  }
  const where = ref.namespace ?? namespace;
  if (where === undefined) {
    return refuse("InvalidParameters", `${field}.namespace is missing; name where they are`);
  }
  const parameters = view.get("GatewayParameters", where, ref.name);
  const name = `GatewayParameters "${where}/${ref.name}"`;
  if (parameters === undefined) {
    return refuse("InvalidParameters", `${field}: ${name} does not exist; create it`);
  }
  const settings = merged(parameters, { base, level });
  return typeof settings === "string"
    ? refuse("InvalidParameters", `${field}: ${name}: ${settings}`)
    : { ok: true, settings };
}

/** The settings, or what is wrong with the parameters. */
function merged(
  { spec }: GatewayParameters,
  { base, level }: Pick<ParametersContext, "base" | "level">,
): GatewaySettings | string {
  // Whoever may make a Gateway must not choose addresses: CVE-2020-8554.
  if (level === "gateway" && (spec.addresses ?? spec.unmanaged) !== undefined) {
    const member = spec.addresses === undefined ? "spec.unmanaged" : "spec.addresses";
    return `${member} counts only in the parameters of a GatewayClass; remove it`;
  }
  const allowed = spec.addresses === undefined
    ? base.allowed
    : addressRanges(spec.addresses.allowed);
  if (typeof allowed === "string") return `spec.addresses.allowed: ${allowed}`;
  const service = {
    ...base.service,
    ...spec.service,
    annotations: { ...base.service.annotations, ...spec.service?.annotations },
  };
  if (service.loadBalancerClass !== undefined && service.type !== "LoadBalancer") {
    return `spec.service.loadBalancerClass is only for type LoadBalancer, not ${service.type}; ` +
      "remove it";
  }
  return {
    service,
    allowed,
    unmanaged: spec.unmanaged?.addresses ?? base.unmanaged,
    accessLog: spec.accessLog?.enabled ?? base.accessLog,
    maxBodyBytes: lower(base.maxBodyBytes, spec.limits?.maxBodyBytes),
  };
}

/** A Gateway may have a tighter bound than its class, not a wider one. */
function lower(base: number | undefined, own: number | undefined): number | undefined {
  return base === undefined || own === undefined ? own ?? base : Math.min(base, own);
}
