/** The certificate that a Gateway shows to its backends (GatewayBackendTLS). */
import {
  type CertificateContext,
  type CheckedCertificate,
  decideCertificate,
} from "./certificates.ts";
import { type GatewayRefsReason, OK, type Outcome, refuse } from "./outcome.ts";

export interface ClientCertificateDecision {
  resolvedRefs: Outcome<GatewayRefsReason>;
  /** There when it resolved. */
  material?: CheckedCertificate;
}

/** Undefined when the Gateway names none. */
export function decideClientCertificate(
  context: CertificateContext,
): ClientCertificateDecision | undefined {
  const ref = context.gateway.spec.tls?.backend?.clientCertificateRef;
  if (ref === undefined) return undefined;
  const field = "spec.tls.backend.clientCertificateRef";
  const decision = decideCertificate(ref, { ...context, field });
  if (decision.ok) return { resolvedRefs: OK, material: decision.material };
  const reason = decision.reason === "RefNotPermitted"
    ? "RefNotPermitted"
    : "InvalidClientCertificateRef";
  return { resolvedRefs: refuse(reason, decision.message) };
}
