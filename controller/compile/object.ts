/** One object → everything that is said about it: what others see of it, status, diagnostic. */
import { type AttachPoint, attachPoints } from "../attach/attach_point.ts";
import { type ClassContext, type ClassDecision, decideClass } from "../attach/classes.ts";
import { decideGateway, type GatewayContext, type GatewayDecision } from "../attach/gateways.ts";
import { decideRoute, type RouteContext } from "../attach/routes.ts";
import {
  type Gateway,
  type GatewayClass,
  keyOf,
  type ListenerSet,
  type Route,
} from "../model/objects.ts";
import { type GatewayInfrastructure, keptInfrastructure } from "../model/infrastructure.ts";
import { type RouteParts, routeParts } from "../model/scope.ts";
import { type GatewayClassStatus, gatewayClassStatus } from "../status/gateway_class.ts";
import { type RouteStatus, routeStatus } from "../status/route.ts";
import { setGateway } from "../store/group.ts";

/** Something that an object's author should know and that no condition says. */
export interface Diagnostic {
  severity: "error" | "warning";
  /** `<Kind>/<namespace>/<name>`. */
  object: string;
  message: string;
}

/** A class of ours. */
export interface CompiledClass {
  decision: ClassDecision;
  status: GatewayClassStatus;
}

/** Undefined for a class of somebody else's. */
export function compileClass(
  gatewayClass: GatewayClass,
  context: ClassContext,
): CompiledClass | undefined {
  const decision = decideClass(gatewayClass, context);
  return decision && { decision, status: gatewayClassStatus(decision) };
}

export type CompiledGateway =
  | { ours: true; decision: GatewayDecision; points: ReadonlyMap<string, AttachPoint> }
  | {
    ours: false;
    diagnostic: Diagnostic | undefined;
    /** Its class is ours but refused: what is around the Gateway stays. */
    kept?: GatewayInfrastructure;
  };

export function compileGateway(gateway: Gateway, context: GatewayContext): CompiledGateway {
  const decision = decideGateway(gateway, context);
  if (decision === undefined) {
    const refused = context.classes.get(gateway.spec.gatewayClassName) !== undefined;
    return {
      ours: false,
      diagnostic: noClass(gateway, context),
      ...(refused ? { kept: keptInfrastructure(gateway) } : {}),
    };
  }
  return { ours: true, decision, points: attachPoints(decision) };
}

/** Nobody's status speaks for a Gateway whose class is refused or missing. */
function noClass(gateway: Gateway, { view, classes }: GatewayContext): Diagnostic | undefined {
  const name = gateway.spec.gatewayClassName;
  const message = classes.get(name) !== undefined
    ? `GatewayClass "${name}" is not accepted`
    : view.get("GatewayClass", "", name) === undefined
    ? `GatewayClass "${name}" does not exist; create it`
    : undefined;
  return message === undefined ? undefined : {
    severity: "warning",
    object: keyOf(gateway),
    message: `spec.gatewayClassName: ${message}`,
  };
}

/** What is to say of a set: nothing when its Gateway is one of ours, which decides about it. */
export interface CompiledSet {
  diagnostic: Diagnostic | undefined;
}

export function compileSet(
  set: ListenerSet,
  { gateways }: { gateways: RouteContext["gateways"] },
): CompiledSet {
  const gateway = setGateway(set);
  const ours = gateway !== undefined && gateways.get(`Gateway/${gateway}`) !== undefined;
  return {
    diagnostic: ours ? undefined : {
      severity: "warning",
      object: keyOf(set),
      message: "spec.parentRef names no Gateway of this controller, so the set adds nothing",
    },
  };
}

export type CompiledRoute =
  | { ours: true; parts: RouteParts; status: RouteStatus }
  | { ours: false; diagnostic: Diagnostic };

export function compileRoute(
  route: Route,
  context: RouteContext & { controllerName: string },
): CompiledRoute {
  const decision = decideRoute(route, context);
  if (decision !== undefined) {
    const status = routeStatus(decision, context.controllerName);
    return { ours: true, parts: routeParts(decision), status };
  }
  return {
    ours: false,
    diagnostic: {
      severity: "warning",
      object: keyOf(route),
      message: "spec.parentRefs names no Gateway of this controller, so the route serves nothing",
    },
  };
}
