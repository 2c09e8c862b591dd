/** Which Gateways are ours, and whether they can be served. */
import { gatewayScope } from "../../shared/snapshot/ids.ts";
import type { Gateway } from "../model/objects.ts";
import type { ClusterView } from "../store/view.ts";
import type { CertificateCache } from "./certificates.ts";
import { type ClientCertificateDecision, decideClientCertificate } from "./client_certificate.ts";
import { insecureValidation } from "./frontend_validation.ts";
import type { TrustCache } from "./trust.ts";
import type { ClassDecision } from "./classes.ts";
import { decideListeners, type ListenerDecision } from "./listeners.ts";
import { type GatewayReason, OK, type Outcome, refuse } from "./outcome.ts";

export interface GatewayDecision {
  gateway: Gateway;
  scope: string;
  accepted: Outcome<GatewayReason>;
  /** Some listeners are not accepted, though the Gateway is. */
  listenersNotValid: boolean;
  /** Why the requested addresses cannot be used; undefined when none are requested. */
  addressProblem?: string;
  listeners: ListenerDecision[];
  /** What backends are shown over TLS; undefined when nothing is asked for. */
  clientCertificate?: ClientCertificateDecision;
  /** Where clients are let in whatever certificate they show. */
  insecureValidation: readonly string[];
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
  if (!classes.get(gateway.spec.gatewayClassName)?.accepted.ok) return undefined;
  const own = acceptGateway(gateway);
  const decided = decideListeners({ view, gateway, cache, trustCache });
  // A Gateway that is refused as a whole serves nothing, whatever its listeners say.
  const listeners = own.ok ? decided : decided.map((entry) => ({ ...entry, usable: false }));
  const refused = listeners.filter((entry) => !entry.accepted.ok);
  const accepted = own.ok && refused.length === listeners.length
    ? refuse("ListenersNotValid", `no listener is valid: ${firstMessage(refused)}`)
    : own;
  const addresses = gateway.spec.addresses ?? [];
  const clientCertificate = decideClientCertificate({ view, gateway, cache });
  return {
    gateway,
    scope: gatewayScope(gateway.meta.namespace, gateway.meta.name),
    accepted,
    listenersNotValid: refused.length > 0,
    listeners,
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    insecureValidation: insecureValidation(gateway),
    ...(addresses.length === 0 ? {} : {
      addressProblem: "spec.addresses: addresses cannot be chosen here; remove spec.addresses",
    }),
  };
}

function firstMessage(listeners: readonly ListenerDecision[]): string {
  const first = listeners[0];
  if (first === undefined || first.accepted.ok) return "";
  return `listener "${first.listener.name}": ${first.accepted.message}`;
}

function acceptGateway({ spec }: Gateway): Outcome<GatewayReason> {
  const wrong = (spec.addresses ?? []).find(({ type }) =>
    type !== "IPAddress" && type !== "Hostname"
  );
  if (wrong !== undefined) {
    return refuse(
      "UnsupportedAddress",
      `spec.addresses: type ${wrong.type} is not supported; remove the address`,
    );
  }
  const ref = spec.infrastructure?.parametersRef;
  if (ref !== undefined) {
    return refuse(
      "InvalidParameters",
      `spec.infrastructure.parametersRef: ${ref.kind} "${ref.name}" of group "${ref.group}" is ` +
        "not read by this controller; remove it",
    );
  }
  return OK;
}
