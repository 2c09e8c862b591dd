/**
 * Objects → what should be on the bus and in the status of every object. Pure and deterministic:
 * equal objects give equal results in any order; time is an option.
 */
import type { CertificateCache } from "./attach/certificates.ts";
import { type ClassDecision, decideClasses } from "./attach/classes.ts";
import { decideGateways, type GatewayDecision } from "./attach/gateways.ts";
import type { EndpointSet } from "../shared/snapshot/schema.ts";
import { decideRoute, type RouteDecision } from "./attach/routes.ts";
import { CompileMemo } from "./compile_memo.ts";
import { endpointSet } from "./model/endpoints.ts";
import { keyOf, objectKey } from "./model/objects.ts";
import { attachedRoutes, countRoutes, scopeContent } from "./model/scope.ts";
import type { RouteParts } from "./model/scope.ts";
import type { CertificateMaterial, Desired, ScopeContent } from "./publish/types.ts";
import type { DesiredStatus } from "./status/desired.ts";
import { gatewayStatus, type StatusAddress } from "./status/gateway.ts";
import { gatewayClassStatus } from "./status/gateway_class.ts";
import { httpRouteStatus } from "./status/http_route.ts";
import type { ClusterView } from "./store/view.ts";

export const DEFAULT_CONTROLLER_NAME = "networknt.com/light-k8s-gateway";

export interface CompileOptions {
  /** Default {@linkcode DEFAULT_CONTROLLER_NAME}. */
  controllerName?: string;
  /**
   * Did every ready proxy acknowledge a version of the scope that contains this generation of its
   * Gateway? undefined = not known yet. Default: not known.
   */
  programmed?: (scope: string, generation: number) => boolean | undefined;
  /**
   * Why the newest content of a scope cannot be served although every object of it is in order: it
   * does not fit onto the bus, or the fleet has no port left. Default: it can.
   */
  obstacle?: (scope: string) => string | undefined;
  /** The addresses of a Gateway, for its status. Default: none. */
  addresses?: (gateway: { namespace: string; name: string }) => StatusAddress[];
  /** Carried from compile to compile; changes nothing but the time it takes. */
  memo?: CompileMemo;
  /** Checked certificates, when there is no memo to keep them. */
  certificateCache?: CertificateCache;
}

/** Something that an object's author should know and that no condition says. */
export interface Diagnostic {
  severity: "error" | "warning";
  /** `<Kind>/<namespace>/<name>`. */
  object: string;
  message: string;
}

export interface CompileResult extends Pick<Desired, "scopes" | "endpoints" | "certificates"> {
  /** Object key (`<Kind>/<namespace>/<name>`) → its desired status. */
  statuses: ReadonlyMap<string, DesiredStatus>;
  /** By object. */
  diagnostics: readonly Diagnostic[];
  /** Milliseconds since the epoch at which compiling again gives another result. */
  nextWakeup?: number;
}

/** Compiles everything. Never throws for what an object says. */
export function compile(view: ClusterView, options: CompileOptions = {}): CompileResult {
  const { controllerName = DEFAULT_CONTROLLER_NAME } = options;
  const memo = options.memo ?? new CompileMemo(options.certificateCache);
  memo.begin(view, controllerName);
  const { classes, gateways } = memo.gateways(() => {
    const classes = decideClasses(view, controllerName);
    const cache = memo.certificates;
    return { classes, gateways: decideGateways({ view, classes, cache }) };
  });
  const routes = view.list("HTTPRoute").flatMap((route) =>
    memo.route(route, () => decideRoute(route, { view, gateways })) ?? []
  );
  const statuses = new Map<string, DesiredStatus>();
  for (const [name, decision] of classes) {
    statuses.set(objectKey("GatewayClass", "", name), gatewayClassStatus(decision));
  }
  const parts = routes.map((decision) => memo.parts(decision));
  const counts = countRoutes(parts);
  for (const decision of gateways.values()) {
    const { meta } = decision.gateway;
    const status = gatewayStatus(decision, {
      attached: counts.get(decision.scope) ?? new Map(),
      addresses: options.addresses?.({ namespace: meta.namespace, name: meta.name }) ?? [],
      programmed: options.programmed?.(decision.scope, meta.generation),
      obstacle: options.obstacle?.(decision.scope),
    });
    statuses.set(keyOf(decision.gateway), status);
  }
  for (const { decision, key } of parts) {
    statuses.set(key, memo.status(decision, () => httpRouteStatus(decision, controllerName)));
  }
  return {
    ...buildModel({ gateways, parts }, { view, memo }),
    statuses,
    diagnostics: diagnose(view, { classes, gateways, routes }),
  };
}

interface Decisions {
  gateways: ReadonlyMap<string, GatewayDecision>;
  routes: readonly RouteDecision[];
}

function buildModel(
  { gateways, parts }: Pick<Decisions, "gateways"> & { parts: readonly RouteParts[] },
  { view, memo }: { view: ClusterView; memo: CompileMemo },
) {
  const attached = attachedRoutes(parts);
  const scopes = new Map<string, ScopeContent>();
  const endpoints = new Map<string, EndpointSet>();
  const certificates = new Map<string, CertificateMaterial>();
  for (const decision of gateways.values()) {
    const served = attached.get(decision.scope) ?? [];
    scopes.set(decision.scope, scopeContent({ ...decision, routes: served }, memo));
    for (const { route } of served) {
      for (const backend of route.backends) {
        if (endpoints.has(backend.endpoints)) continue;
        endpoints.set(backend.endpoints, endpointSet(backend, view));
      }
    }
    for (const listener of decision.listeners) {
      if (!listener.usable) continue;
      for (const entry of listener.certificates) {
        if (entry.ok) certificates.set(entry.material.slot, entry.material);
      }
    }
  }
  return { scopes, endpoints, certificates };
}

interface DiagnoseInput extends Decisions {
  classes: ReadonlyMap<string, ClassDecision>;
}

/** Objects that no status speaks for, because nothing of ours refers to them. */
function diagnose(view: ClusterView, { classes, routes }: DiagnoseInput): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  for (const gateway of view.list("Gateway")) {
    const name = gateway.spec.gatewayClassName;
    const decision = classes.get(name);
    const why = decision !== undefined
      ? (decision.accepted.ok ? undefined : `GatewayClass "${name}" is not accepted`)
      : view.get("GatewayClass", "", name) === undefined
      ? `GatewayClass "${name}" does not exist; create it`
      : undefined;
    if (why === undefined) continue;
    diagnostics.push({
      severity: "warning",
      object: keyOf(gateway),
      message: `spec.gatewayClassName: ${why}`,
    });
  }
  const decided = new Set(routes.map(({ route }) => route));
  for (const route of view.list("HTTPRoute")) {
    if (decided.has(route)) continue;
    diagnostics.push({
      severity: "warning",
      object: keyOf(route),
      message: "spec.parentRefs names no Gateway of this controller, so the route serves nothing",
    });
  }
  return diagnostics;
}
