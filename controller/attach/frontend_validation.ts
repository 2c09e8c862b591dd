/** What the HTTPS listeners of a Gateway ask of clients (FrontendTLSConfig). */
import { type Gateway, GATEWAY_GROUP, type ListenerSet } from "../model/objects.ts";
import type { FrontendValidation } from "../model/tls_objects.ts";
import type { TrustMaterial } from "../publish/types.ts";
import type { ClusterView } from "../store/view.ts";
import {
  type ListenerAcceptedReason,
  type ListenerRefsReason,
  OK,
  type Outcome,
  refuse,
} from "./outcome.ts";
import { decideTrust, type TrustCache, type TrustDecision } from "./trust.ts";

/** What holds on one port. */
export interface ClientValidationDecision {
  mode: FrontendValidation["mode"];
  accepted: Outcome<ListenerAcceptedReason>;
  resolvedRefs: Outcome<ListenerRefsReason>;
  /** Who is trusted, in the order of the references; what does not resolve is nobody. */
  trust: readonly TrustMaterial[];
}

export interface FrontendContext {
  view: ClusterView;
  trustCache: TrustCache;
  /** The set whose listener is on the port: it has to be told whose field is meant. */
  set?: ListenerSet;
}

/** Decides for a port; undefined when clients need no certificate there. */
export function decideClientValidation(
  { meta, spec }: Gateway,
  { view, trustCache, set, port }: FrontendContext & { port: number },
): ClientValidationDecision | undefined {
  const frontend = spec.tls?.frontend;
  if (frontend === undefined) return undefined;
  const at = (frontend.perPort ?? []).findIndex((entry) => entry.port === port);
  // An entry for the port takes the place of the default, also when it asks for nothing.
  const { validation } = frontend.perPort?.[at]?.tls ?? frontend.default;
  if (validation === undefined) return undefined;
  const part = at < 0 ? "default" : `perPort[${at}].tls`;
  const whose = set === undefined ? "" : `Gateway "${meta.namespace}/${meta.name}": `;
  const decisions = validation.caCertificateRefs.map((ref, index) =>
    decideTrust(ref, {
      view,
      cache: trustCache,
      from: { group: GATEWAY_GROUP, kind: "Gateway", namespace: meta.namespace },
      field: `${whose}spec.tls.frontend.${part}.validation.caCertificateRefs[${index}]`,
    })
  );
  const trust = decisions.flatMap((decision) => decision.ok ? [decision.material] : []);
  const bad = decisions.find((decision) => !decision.ok);
  const message = bad === undefined || bad.ok ? "" : bad.message;
  return {
    mode: validation.mode,
    // Fails closed: without anybody to trust nobody can be let in, in either mode.
    accepted: trust.length > 0 ? OK : refuse("NoValidCACertificate", message),
    resolvedRefs: bad === undefined || bad.ok ? OK : refuse(refsReason(bad), message),
    trust,
  };
}

function refsReason({ problem }: TrustDecision & { ok: false }): ListenerRefsReason {
  switch (problem) {
    case "kind":
      return "InvalidCACertificateKind";
    case "reference":
      return "InvalidCACertificateRef";
    case "permission":
      return "RefNotPermitted";
  }
}

/** Where the Gateway lets clients in without a valid certificate although it asks for one. */
export function insecureValidation({ spec }: Gateway): string[] {
  const { default: all, perPort = [] } = spec.tls?.frontend ?? { default: {} };
  const insecure = (validation: FrontendValidation | undefined) =>
    validation?.mode === "AllowInsecureFallback";
  return [
    ...(insecure(all.validation) ? ["by default"] : []),
    ...perPort.filter(({ tls }) => insecure(tls.validation)).map(({ port }) => `on port ${port}`),
  ];
}
