/** The answer of a decision: yes, or no with the reason that status and model both use. */
export type Outcome<R extends string> =
  | { ok: true }
  | { ok: false; reason: R; message: string };

export const OK: { readonly ok: true } = Object.freeze({ ok: true });

/** A no. The message names the object or field, and how to fix it. */
export function refuse<R extends string>(reason: R, message: string): {
  ok: false;
  reason: R;
  message: string;
} {
  return { ok: false, reason, message };
}

/** Reasons of Gateway API v1.7.0 (`apis/v1`), by the condition that carries them. */
export type ClassReason = "InvalidParameters";
export type GatewayReason = "ListenersNotValid" | "UnsupportedAddress" | "InvalidParameters";
export type GatewayRefsReason = "InvalidClientCertificateRef" | "RefNotPermitted";
export type ListenerSetReason = "NotAllowed" | "ParentNotAccepted" | "ListenersNotValid";
export type ListenerAcceptedReason =
  | "UnsupportedProtocol"
  | "NoValidCACertificate"
  | "UnsupportedValue"
  | "HostnameConflict"
  | "ProtocolConflict";
export type ListenerConflictReason = "HostnameConflict" | "ProtocolConflict";
export type ListenerRefsReason =
  | "InvalidCertificateRef"
  | "InvalidCACertificateRef"
  | "InvalidCACertificateKind"
  | "InvalidRouteKinds"
  | "RefNotPermitted";
export type PolicyAcceptedReason = "Conflicted" | "Invalid" | "NoValidCACertificate";
export type PolicyRefsReason = "InvalidCACertificateRef" | "InvalidKind";
export type RouteAcceptedReason =
  | "NotAllowedByListeners"
  | "NoMatchingListenerHostname"
  | "NoMatchingParent"
  | "UnsupportedValue"
  | "IncompatibleFilters";
export type BackendReason =
  | "BackendNotFound"
  | "InvalidKind"
  | "RefNotPermitted"
  | "UnsupportedProtocol";
