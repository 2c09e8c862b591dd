/**
 * Objects → what should be on the bus and in the status of every object. Pure and deterministic:
 * equal objects give equal results in any order; time is an option. The order of entries in the
 * maps that come out has no meaning.
 *
 * This is the plain form, for one-shot use and as the oracle of `compile_incremental.ts`, which
 * gives the same at the cost of what changed.
 */
import { decidePolicy } from "../attach/backend_tls.ts";
import type { CertificateCache } from "../attach/certificates.ts";
import type { TrustCache } from "../attach/trust.ts";
import { DEFAULT_CONTROLLER_NAME } from "../../shared/config/settings.ts";
import type { EndpointSet } from "../../shared/snapshot/schema.ts";
import { PolicyUses } from "./policy_uses.ts";
import {
  compileClass,
  compileGateway,
  compileRoute,
  compileSet,
  type Diagnostic,
} from "./object.ts";
import { gatewayScope } from "../../shared/snapshot/ids.ts";
import { endpointSet } from "../model/endpoints.ts";
import {
  type Gateway,
  keyOf,
  type ListenerSet,
  type Route,
  ROUTE_KINDS,
} from "../model/objects.ts";
import { type GatewayInfrastructure, gatewayInfrastructure } from "../model/infrastructure.ts";
import {
  certificateParts,
  gatewayTrust,
  listenerPorts,
  type RouteParts,
  routeTrust,
  scopeContent,
} from "../model/scope.ts";
import type {
  CertificateMaterial,
  Desired,
  ScopeContent,
  TrustMaterial,
} from "../publish/types.ts";
import { backendTlsPolicyStatus } from "../status/backend_tls_policy.ts";
import type { DesiredStatus } from "../status/desired.ts";
import { gatewayStatus, type GatewayStatusContext, type StatusAddress } from "../status/gateway.ts";
import { listenerSetStatus } from "../status/listener_set.ts";
import type { ClusterView } from "../store/view.ts";

/** What a Gateway's status says beside what its objects say. */
export interface FleetContext {
  /**
   * Did every ready proxy acknowledge a version of the scope that contains this generation of its
   * Gateway? undefined = not known yet. Default: not known.
   */
  programmed?: (scope: string, generation: number) => boolean | undefined;
  /** The same for a ListenerSet of the scope's Gateway, by its object key. */
  setProgrammed?: (scope: string, set: { key: string; generation: number }) => boolean | undefined;
  /**
   * Why the newest content of a scope cannot be served although every object of it is in order: it
   * does not fit onto the bus, or the fleet has no port left. Default: it can.
   */
  obstacle?: (scope: string) => string | undefined;
  /**
   * The addresses that a Gateway was given, for its status; without one it is not programmed.
   * Default: nobody gives addresses.
   */
  addresses?: (gateway: { namespace: string; name: string }) => StatusAddress[];
  /** Milliseconds since the epoch, for certificates that expire. Default: nothing has expired. */
  now?: number;
}

export interface CompileOptions extends FleetContext {
  /** Default {@linkcode DEFAULT_CONTROLLER_NAME}. */
  controllerName?: string;
  /** As in {@linkcode EndpointOptions}. Default true. */
  servicesByName?: boolean;
  /** Checked certificates: parsing them is the dearest step. */
  certificateCache?: CertificateCache;
  /** Checked certificates of authorities. */
  trustCache?: TrustCache;
}

export interface CompileResult
  extends Pick<Desired, "scopes" | "endpoints" | "certificates" | "trust"> {
  /** Scope → the ports that its accepted listeners declare, sorted. */
  ports: ReadonlyMap<string, readonly number[]>;
  /** Scope → what its Gateway wants around it. */
  infrastructure: ReadonlyMap<string, GatewayInfrastructure>;
  /** Object key (`<Kind>/<namespace>/<name>`) → its desired status. */
  statuses: ReadonlyMap<string, DesiredStatus>;
  /** By object key. */
  diagnostics: ReadonlyMap<string, Diagnostic>;
}

/** Compiles everything. Never throws for what an object says. */
export function compile(view: ClusterView, options: CompileOptions = {}): CompileResult {
  const { controllerName = DEFAULT_CONTROLLER_NAME, servicesByName = true } = options;
  const { certificateCache: cache = new WeakMap(), trustCache = new WeakMap() } = options;
  const statuses = new Map<string, DesiredStatus>();
  const diagnostics = new Map<string, Diagnostic>();
  const classes = new Map(
    view.list("GatewayClass").flatMap((object) => {
      const compiled = compileClass(object, { view, controllerName });
      if (compiled === undefined) return [];
      statuses.set(keyOf(object), compiled.status);
      return [[object.meta.name, compiled.decision] as const];
    }),
  );
  const infrastructure = new Map<string, GatewayInfrastructure>();
  const gateways = view.list("Gateway").flatMap((object) => {
    const compiled = compileGateway(object, { view, classes, cache, trustCache });
    if (compiled.ours) return [compiled];
    const { namespace, name } = object.meta;
    if (compiled.kept) infrastructure.set(gatewayScope(namespace, name), compiled.kept);
    if (compiled.diagnostic) diagnostics.set(keyOf(object), compiled.diagnostic);
    return [];
  });
  const points = new Map(gateways.flatMap((compiled) => [...compiled.points]));
  for (const object of view.list("ListenerSet")) {
    const { diagnostic } = compileSet(object, { gateways: points });
    if (diagnostic !== undefined) diagnostics.set(keyOf(object), diagnostic);
  }
  const routes = ROUTE_KINDS.flatMap((kind): readonly Route[] => view.list(kind)).flatMap(
    (object) => {
      const compiled = compileRoute(object, {
        view,
        gateways: points,
        trustCache,
        controllerName,
      });
      if (compiled.ours) {
        statuses.set(keyOf(object), compiled.status);
        return [compiled.parts];
      }
      diagnostics.set(keyOf(object), compiled.diagnostic);
      return [];
    },
  );
  const counts = countRoutes(routes);
  const scopes = new Map<string, ScopeContent>();
  const ports = new Map<string, readonly number[]>();
  const certificates = new Map<string, CertificateMaterial>();
  const trust = new Map<string, TrustMaterial>();
  for (const { decision } of gateways) {
    const attached = counts.get(decision.scope) ?? new Map();
    const context = statusContext(decision.gateway, { ...options, attached });
    statuses.set(keyOf(decision.gateway), gatewayStatus(decision, context));
    for (const entry of decision.sets) {
      const of = {
        gateway: decision,
        context: setContext(entry.set, context, { ...options, scope: decision.scope }),
      };
      statuses.set(keyOf(entry.set), listenerSetStatus(entry, of));
    }
    scopes.set(decision.scope, scopeContent(decision, routes));
    ports.set(decision.scope, listenerPorts(decision));
    infrastructure.set(decision.scope, gatewayInfrastructure(decision));
    for (const [slot, material] of certificateParts(decision)) certificates.set(slot, material);
    for (const [slot, material] of gatewayTrust(decision)) trust.set(slot, material);
  }
  const endpoints = new Map<string, EndpointSet>();
  const uses = new PolicyUses();
  for (const route of routes) {
    uses.setRoute(undefined, route);
    for (const [slot, material] of routeTrust(route)) trust.set(slot, material);
    if (route.served.size === 0) continue;
    for (const backend of route.backends) {
      endpoints.set(backend.endpoints, endpointSet(backend, { view, servicesByName }));
    }
  }
  for (const policy of view.list("BackendTLSPolicy")) {
    const key = keyOf(policy);
    const status = backendTlsPolicyStatus(decidePolicy(policy, { view, trustCache }), {
      controllerName,
      scopes: uses.of(key),
    });
    if (status !== undefined) statuses.set(key, status);
  }
  return {
    scopes,
    ports,
    infrastructure,
    endpoints,
    certificates,
    trust,
    statuses,
    diagnostics,
  };
}

/** Scope → listener → accepted routes, whether the listener is served or not. */
function countRoutes(routes: readonly RouteParts[]): Map<string, Map<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  for (const { accepted } of routes) {
    for (const [scope, listeners] of accepted) {
      let count = counts.get(scope);
      if (count === undefined) counts.set(scope, count = new Map());
      for (const name of listeners) count.set(name, (count.get(name) ?? 0) + 1);
    }
  }
  return counts;
}

/** What the status of a Gateway reads beside its decision. */
export function statusContext(
  { meta: { namespace, name, generation } }: Gateway,
  options: FleetContext & { attached: ReadonlyMap<string, number> },
): GatewayStatusContext {
  const scope = gatewayScope(namespace, name);
  const { attached, addresses, programmed, obstacle, now = -Infinity } = options;
  return {
    attached,
    addresses: addresses?.({ namespace, name }),
    programmed: programmed?.(scope, generation),
    obstacle: obstacle?.(scope),
    now,
  };
}

/** What the status of a set reads: its own generation decides whether it is programmed. */
export function setContext(
  set: ListenerSet,
  context: GatewayStatusContext,
  { scope, setProgrammed }: FleetContext & { scope: string },
): GatewayStatusContext {
  const { generation } = set.meta;
  return { ...context, programmed: setProgrammed?.(scope, { key: keyOf(set), generation }) };
}
