/** Which Gateways are ours, and whether they can be served. */
import { gatewayScope } from "../../shared/snapshot/ids.ts";
import { type Gateway, keyOf, type ListenerSet } from "../model/objects.ts";
import { type AddressesDecision, decideAddresses } from "./addresses.ts";
import type { ClusterView } from "../store/view.ts";
import type { CertificateCache } from "./certificates.ts";
import { type ClientCertificateDecision, decideClientCertificate } from "./client_certificate.ts";
import { insecureValidation } from "./frontend_validation.ts";
import type { TrustCache } from "./trust.ts";
import type { ClassDecision } from "./classes.ts";
import { decideListenerSets, type ListenerSetDecision } from "./listener_sets.ts";
import { decideListeners, type ListenerDecision, tlsListeners, withOverlaps } from "./listeners.ts";
import { type GatewayReason, type Outcome, refuse } from "./outcome.ts";
import { decideParameters, type GatewaySettings } from "./parameters.ts";

export interface GatewayDecision {
  gateway: Gateway;
  scope: string;
  accepted: Outcome<GatewayReason>;
  /** Some listeners are not accepted, though the Gateway is. */
  listenersNotValid: boolean;
  addresses: AddressesDecision;
  settings: GatewaySettings;
  listeners: ListenerDecision[];
  /** What backends are shown over TLS; undefined when nothing is asked for. */
  clientCertificate?: ClientCertificateDecision;
  /** Where clients are let in whatever certificate they show. */
  insecureValidation: readonly string[];
  /** The ListenerSets that name the Gateway, in their precedence. */
  sets: ListenerSetDecision[];
}

/** The listeners of a Gateway and of its sets, each with the object that it belongs to. */
export function allListeners(
  { gateway, listeners, sets }: Pick<GatewayDecision, "gateway" | "listeners" | "sets">,
): { owner: Gateway | ListenerSet; listeners: ListenerDecision[] }[] {
  return [
    { owner: gateway, listeners },
    ...sets.map((entry) => ({
      owner: entry.set,
      listeners: entry.listeners,
    })),
  ];
}

export interface GatewayContext {
  view: ClusterView;
  classes: { get(name: string): ClassDecision | undefined };
  cache: CertificateCache;
  trustCache: TrustCache;
}

/** Decides a Gateway; undefined unless its class is ours and accepted. */
export function decideGateway(
  gateway: Gateway,
  { view, classes, cache, trustCache }: GatewayContext,
): GatewayDecision | undefined {
  const gatewayClass = classes.get(gateway.spec.gatewayClassName);
  if (!gatewayClass?.accepted.ok) return undefined;
  const parameters = decideParameters(gateway.spec.infrastructure?.parametersRef, {
    view,
    field: "spec.infrastructure.parametersRef",
    namespace: gateway.meta.namespace,
    base: gatewayClass.settings,
    level: "gateway",
  });
  const settings = parameters.ok ? parameters.settings : gatewayClass.settings;
  const addresses = decideAddresses(gateway, settings);
  const own: Outcome<GatewayReason> = parameters.ok ? addresses.supported : parameters;
  const context = { view, gateway, cache, trustCache };
  const decided = decideListeners(context);
  // A Gateway that is refused as a whole serves nothing, whatever its listeners say.
  const listeners = own.ok ? decided : decided.map((entry) => ({ ...entry, usable: false }));
  const refused = listeners.filter((entry) => !entry.accepted.ok);
  const accepted = own.ok && refused.length === listeners.length
    ? refuse("ListenersNotValid", `no listener is valid: ${firstMessage(refused)}`)
    : own;
  const clientCertificate = decideClientCertificate(context);
  const sets = decideListenerSets(context, { gatewayAccepted: accepted.ok });
  const tls = [
    ...tlsListeners(listeners, keyOf(gateway)),
    // What a set does not get is nothing that its neighbours could be confused with.
    ...sets.flatMap((entry) =>
      tlsListeners(entry.listeners.filter(({ accepted }) => accepted.ok), keyOf(entry.set))
    ),
  ];
  return {
    gateway,
    scope: gatewayScope(gateway.meta.namespace, gateway.meta.name),
    accepted,
    listenersNotValid: refused.length > 0,
    listeners: withOverlaps(listeners, tls),
    sets: sets.map((entry) => ({ ...entry, listeners: withOverlaps(entry.listeners, tls) })),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    insecureValidation: insecureValidation(gateway),
    addresses,
    settings,
  };
}

function firstMessage(listeners: readonly ListenerDecision[]): string {
  const first = listeners[0];
  if (first === undefined || first.accepted.ok) return "";
  return `listener "${first.listener.name}": ${first.accepted.message}`;
}
