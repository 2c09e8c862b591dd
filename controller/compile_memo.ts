/**
 * What one compile can take over from the one before. Optional, and without influence on the
 * result: a compile without memo is the oracle that the tests compare with.
 *
 * Decisions about a route read the route and everything of the other kinds except EndpointSlices.
 * So as long as those kinds are unchanged (the store keeps their lists identical), only routes that
 * changed are decided anew; any other change decides everything anew.
 */
import type { ClassDecision } from "./attach/classes.ts";
import type { CertificateCache } from "./attach/certificates.ts";
import type { GatewayDecision } from "./attach/gateways.ts";
import type { RouteDecision } from "./attach/routes.ts";
import type { HttpRouteResource } from "../shared/snapshot/schema.ts";
import type { HttpRoute, Kind } from "./model/objects.ts";
import { routeParts } from "./model/scope.ts";
import type { RouteParts } from "./model/scope.ts";
import type { HttpRouteStatus } from "./status/http_route.ts";
import type { ClusterView } from "./store/view.ts";

/** The kinds that decisions about Gateways and routes read, beside the route itself. */
const BASIS: readonly Kind[] = [
  "GatewayClass",
  "Gateway",
  "ReferenceGrant",
  "Service",
  "Secret",
  "Namespace",
  "LightBackend",
];

export interface GatewayDecisions {
  classes: ReadonlyMap<string, ClassDecision>;
  gateways: ReadonlyMap<string, GatewayDecision>;
}

/** Kept by the caller between compiles of one store with the same controllerName. */
export class CompileMemo {
  /** Secrets are checked once per object: parsing certificates is the dearest step. */
  readonly certificates: CertificateCache;
  #basis: readonly unknown[] = [];
  #gateways: GatewayDecisions | undefined;
  /** null = not ours. */
  #routes = new WeakMap<HttpRoute, RouteDecision | null>();
  readonly #statuses = new WeakMap<RouteDecision, HttpRouteStatus>();
  readonly #parts = new WeakMap<RouteDecision, RouteParts>();
  readonly #resources = new WeakMap<RouteDecision, Map<string, HttpRouteResource>>();

  constructor(certificates: CertificateCache = new WeakMap()) {
    this.certificates = certificates;
  }

  /** Forgets what the view no longer supports; called at the start of a compile. */
  begin(view: ClusterView, controllerName: string): void {
    const basis = [controllerName, ...BASIS.map((kind) => view.list(kind))];
    const same = basis.length === this.#basis.length &&
      basis.every((entry, index) => entry === this.#basis[index]);
    if (same) return;
    this.#basis = basis;
    this.#gateways = undefined;
    this.#routes = new WeakMap();
  }

  gateways(decide: () => GatewayDecisions): GatewayDecisions {
    return this.#gateways ??= decide();
  }

  route(route: HttpRoute, decide: () => RouteDecision | undefined): RouteDecision | undefined {
    const known = this.#routes.get(route);
    if (known !== undefined) return known ?? undefined;
    const decision = decide();
    this.#routes.set(route, decision ?? null);
    return decision;
  }

  status(decision: RouteDecision, make: () => HttpRouteStatus): HttpRouteStatus {
    let status = this.#statuses.get(decision);
    if (status === undefined) this.#statuses.set(decision, status = make());
    return status;
  }

  /** What the model needs of a route's decision. */
  parts(decision: RouteDecision): RouteParts {
    let parts = this.#parts.get(decision);
    if (parts === undefined) this.#parts.set(decision, parts = routeParts(decision));
    return parts;
  }

  /** The resource of a route in a scope; the same object as long as its decision is. */
  resource(
    key: { decision: RouteDecision; scope: string },
    make: () => HttpRouteResource,
  ): HttpRouteResource {
    let scopes = this.#resources.get(key.decision);
    if (scopes === undefined) this.#resources.set(key.decision, scopes = new Map());
    let resource = scopes.get(key.scope);
    if (resource === undefined) scopes.set(key.scope, resource = make());
    return resource;
  }
}
