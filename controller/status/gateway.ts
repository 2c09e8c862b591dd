/** Desired status of a Gateway and its listeners. */
import { isIP } from "node:net";
import type { GatewayDecision } from "../attach/gateways.ts";
import type { ListenerDecision } from "../attach/listeners.ts";
import { OK, type Outcome, refuse } from "../attach/outcome.ts";
import type { Overlap } from "../attach/overlaps.ts";
import type { RouteGroupKind } from "../model/objects.ts";
import { conditionOf, type DesiredCondition } from "./conditions.ts";

/** Type of the condition of a listener whose certificate has expired. */
export const CERTIFICATE_EXPIRED = "gateway.lightapi.net/CertificateExpired";

export interface ListenerStatus {
  name: string;
  supportedKinds: RouteGroupKind[];
  attachedRoutes: number;
  conditions: DesiredCondition[];
}

export interface StatusAddress {
  type: string;
  value: string;
}

/** An address as a status has it: an IP address, else a host name. */
export function statusAddressOf(value: string): StatusAddress {
  return { type: isIP(value) === 0 ? "Hostname" : "IPAddress", value };
}

export interface GatewayStatus {
  kind: "Gateway";
  addresses: StatusAddress[];
  conditions: DesiredCondition[];
  listeners: ListenerStatus[];
  /** Sets that are accepted; absent while none names the Gateway. */
  attachedListenerSets?: number;
}

export interface GatewayStatusContext {
  /** Listener key → accepted routes. */
  attached: ReadonlyMap<string, number>;
  /** What was given to the Gateway; undefined = nobody gives addresses here. */
  addresses: readonly StatusAddress[] | undefined;
  /** Did every ready proxy acknowledge this generation? undefined = nothing is known yet. */
  programmed: boolean | undefined;
  /** Why the newest content cannot be served, though the objects are in order. */
  obstacle?: string | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

export function gatewayStatus(
  decision: GatewayDecision,
  context: GatewayStatusContext,
): GatewayStatus {
  const generation = decision.gateway.meta.generation;
  return {
    kind: "Gateway",
    addresses: statusAddresses(decision, context.addresses ?? []),
    conditions: [
      acceptedCondition(decision, generation),
      programmedCondition(
        { generation, invalid: gatewayInvalid(decision, context) },
        context.programmed,
      ),
      conditionOf(gatewayRefs(decision), {
        type: "ResolvedRefs",
        reason: "ResolvedRefs",
        message: "all references are resolved",
        generation,
      }),
      ...insecureCondition(decision, generation),
    ],
    listeners: decision.listeners.map((listener) =>
      listenerStatus(listener, { generation, context, decision })
    ),
    ...(decision.sets.length === 0 ? {} : {
      attachedListenerSets: decision.sets.filter(({ accepted }) => accepted.ok).length,
    }),
  };
}

/** The status of a listener of a Gateway, or of one of its sets. */
export function listenerStatus(
  listener: ListenerDecision,
  listenerContext: ListenerContext,
): ListenerStatus {
  return {
    name: listener.listener.name,
    supportedKinds: listener.supportedKinds,
    attachedRoutes: listenerContext.context.attached.get(listener.key) ?? 0,
    conditions: listenerConditions(listener, listenerContext),
  };
}

/** A Gateway with some good listeners is accepted, but says that others are not. */
function acceptedCondition(decision: GatewayDecision, generation: number): DesiredCondition {
  const some = decision.listenersNotValid;
  return conditionOf(decision.accepted, {
    type: "Accepted",
    reason: some ? "ListenersNotValid" : "Accepted",
    message: some ? "some listeners are not valid; see their conditions" : "accepted",
    generation,
  });
}

/** Why a Gateway cannot be programmed, whatever the proxies say. */
export function gatewayInvalid(
  decision: GatewayDecision,
  { addresses, obstacle }: GatewayStatusContext,
): Outcome<string> {
  if (!decision.accepted.ok) return refuse("Invalid", decision.accepted.message);
  const { problem } = decision.addresses;
  if (problem !== undefined) return refuse("AddressNotUsable", problem);
  if (!decision.listeners.some((listener) => listener.usable)) {
    return refuse("Invalid", "no listener can be served; see their conditions");
  }
  // GatewayConditionReason NoResources: "insufficient infrastructure resources"; `Invalid` would
  // blame the object, which is in order.
  if (obstacle !== undefined) return refuse("NoResources", obstacle);
  return addresses !== undefined && statusAddresses(decision, addresses).length === 0
    ? refuse("AddressNotAssigned", "no address was assigned yet; see the Gateway's Service")
    : OK;
}

/** The addresses that a Gateway has: of those that it asked for, where it asked. */
function statusAddresses(
  { addresses: { asked, assign } }: GatewayDecision,
  given: readonly StatusAddress[],
): StatusAddress[] {
  return given.filter(({ value }) => assign || asked.includes(value));
}

interface ProgrammedInput {
  generation: number;
  invalid: Outcome<string>;
}

export function programmedCondition(
  { generation, invalid }: ProgrammedInput,
  programmed: boolean | undefined,
): DesiredCondition {
  if (!invalid.ok || programmed === true) {
    return conditionOf(invalid, {
      type: "Programmed",
      reason: "Programmed",
      message: "every ready proxy serves this generation",
      generation,
    });
  }
  return {
    type: "Programmed",
    status: programmed === undefined ? "Unknown" : "False",
    reason: "Pending",
    message: programmed === undefined
      ? "waiting for the proxies"
      : "no ready proxy serves this generation yet",
    observedGeneration: generation,
  };
}

/** Only there when it is true, as the spec wants it. */
function insecureCondition(
  { insecureValidation }: GatewayDecision,
  generation: number,
): DesiredCondition[] {
  if (insecureValidation.length === 0) return [];
  return [{
    type: "InsecureFrontendValidationMode",
    status: "True",
    reason: "ConfigurationChanged",
    message: `mode AllowInsecureFallback ${insecureValidation.join(" and ")}: clients are let in ` +
      "without a valid certificate",
    observedGeneration: generation,
  }];
}

/** What is the Gateway's own goes before what its listeners tell themselves. */
function gatewayRefs({ listeners, clientCertificate }: GatewayDecision): Outcome<string> {
  if (clientCertificate?.resolvedRefs.ok === false) return clientCertificate.resolvedRefs;
  for (const { listener, resolvedRefs } of listeners) {
    if (resolvedRefs.ok) continue;
    return refuse("ListenersNotResolved", `listener "${listener.name}": ${resolvedRefs.message}`);
  }
  return OK;
}

interface ListenerContext {
  generation: number;
  context: GatewayStatusContext;
  decision: GatewayDecision;
  /** Why it is not served, in other words than usual. */
  invalid?: Outcome<string>;
}

function listenerConditions(
  listener: ListenerDecision,
  { generation, context, decision, invalid }: ListenerContext,
): DesiredCondition[] {
  const { accepted, conflicted, resolvedRefs, overlap } = listener;
  return [
    conditionOf(accepted, {
      type: "Accepted",
      reason: "Accepted",
      message: "accepted",
      generation,
    }),
    programmedCondition(
      { generation, invalid: invalid ?? listenerInvalid(listener, decision) },
      context.programmed,
    ),
    conditionOf(resolvedRefs, {
      type: "ResolvedRefs",
      reason: "ResolvedRefs",
      message: "all references are resolved",
      generation,
    }),
    conflictedCondition(conflicted, generation),
    ...(overlap === undefined ? [] : [overlapCondition(overlap, generation)]),
    ...expiredCondition(listener, { generation, now: context.now }),
  ];
}

/** Certificates of a listener that have expired, each with its Secret and when. */
export function expiredCertificates({ certificates }: ListenerDecision, now: number): string[] {
  return certificates.flatMap((entry) => {
    if (!entry.ok || entry.material.notAfter > now) return [];
    const { namespace, name } = entry.secret.meta;
    const when = new Date(entry.material.notAfter).toISOString();
    return [`the certificate in Secret "${namespace}/${name}" expired at ${when}; renew it`];
  });
}

/**
 * A condition of our own, only there when it is true: the API knows no reason for it. Expired
 * certificates go on being served, since to refuse them would cut off clients that do not look.
 */
function expiredCondition(
  listener: ListenerDecision,
  { generation, now }: { generation: number; now: number },
): DesiredCondition[] {
  const expired = expiredCertificates(listener, now);
  if (expired.length === 0) return [];
  return [{
    type: CERTIFICATE_EXPIRED,
    status: "True",
    reason: "Expired",
    message: expired.join("; "),
    observedGeneration: generation,
  }];
}

/** Only there when it is true, as the spec wants it. */
function overlapCondition({ reason, message }: Overlap, generation: number): DesiredCondition {
  return {
    type: "OverlappingTLSConfig",
    status: "True",
    reason,
    message,
    observedGeneration: generation,
  };
}

function listenerInvalid(
  { accepted, resolvedRefs, usable }: ListenerDecision,
  decision: GatewayDecision,
): Outcome<string> {
  if (usable) return OK;
  const cause = [accepted, resolvedRefs, decision.accepted].find((outcome) => !outcome.ok);
  return refuse("Invalid", cause === undefined || cause.ok ? "not served" : cause.message);
}

/** The one condition whose True is bad news. */
function conflictedCondition(conflicted: Outcome<string>, generation: number): DesiredCondition {
  return {
    type: "Conflicted",
    status: conflicted.ok ? "False" : "True",
    reason: conflicted.ok ? "NoConflicts" : conflicted.reason,
    message: conflicted.ok ? "no conflicts" : conflicted.message,
    observedGeneration: generation,
  };
}
