/** Which BackendTLSPolicy secures the connections to a Service port, and which are in order. */
import type { BackendTls, SubjectAltName } from "../../shared/snapshot/schema.ts";
import { GATEWAY_GROUP, keyOf, type Service, type ServicePort } from "../model/objects.ts";
import type { BackendTlsPolicy, PolicyTarget } from "../model/tls_objects.ts";
import type { TrustMaterial } from "../publish/types.ts";
import type { ClusterView } from "../store/view.ts";
import {
  OK,
  type Outcome,
  type PolicyAcceptedReason,
  type PolicyRefsReason,
  refuse,
} from "./outcome.ts";
import { decideTrust, type TrustCache, type TrustDecision } from "./trust.ts";

export interface PolicyContext {
  view: ClusterView;
  trustCache: TrustCache;
}

/** Everything that is decided about one policy, whoever uses it. */
export interface PolicyDecision {
  policy: BackendTlsPolicy;
  accepted: Outcome<PolicyAcceptedReason>;
  resolvedRefs: Outcome<PolicyRefsReason>;
}

/** How a backend is to be secured. */
export interface SecuredBackend {
  settings: BackendTls;
  /** Whom the settings name, in their order. */
  trust: readonly TrustMaterial[];
  policy: BackendTlsPolicy;
}

/** What the policies make of one Service port. */
export interface PortPolicies {
  /** Keys of those that are about the port, in effect or not. */
  policies: readonly string[];
  /** Absent: plaintext. */
  secured?: SecuredBackend;
  /** The policy in effect cannot be followed: then nothing is sent at all. */
  problem?: { reason: PolicyAcceptedReason; message: string };
}

/** Decides a policy for its own status. */
export function decidePolicy(policy: BackendTlsPolicy, context: PolicyContext): PolicyDecision {
  const { valid, resolvedRefs } = ownContent(policy, context);
  const accepted = valid.ok ? unrivalled(policy, context.view) : valid;
  return { policy, accepted, resolvedRefs };
}

/**
 * The policy in effect for a port: one that names the port goes before one for the whole Service; of
 * several, the oldest, then the first by name (GEP-713). A policy that is not in order keeps its
 * place: whoever wrote it wanted no plaintext.
 */
export function portPolicies(
  { service, port }: { service: Service; port: ServicePort },
  context: PolicyContext,
): PortPolicies {
  const { namespace, name } = service.meta;
  const about = context.view.policiesOf(namespace, name).filter((policy) =>
    targetsOf(policy, name).some(({ sectionName }) =>
      sectionName === undefined || sectionName === port.name
    )
  );
  if (about.length === 0) return { policies: [] };
  const policies = about.map(keyOf).sort();
  const exact = about.filter((policy) =>
    targetsOf(policy, name).some(({ sectionName }) => sectionName !== undefined)
  );
  const policy = (exact.length > 0 ? exact : about).reduce((a, b) => goesBefore(b, a) ? b : a);
  const { valid, trust } = ownContent(policy, context);
  if (!valid.ok) {
    const { name: own, namespace: place } = policy.meta;
    const message = `BackendTLSPolicy "${place}/${own}": ${valid.message}`;
    return { policies, problem: { reason: valid.reason, message } };
  }
  return { policies, secured: { settings: settingsOf(policy, trust), trust, policy } };
}

function targetsOf({ spec }: BackendTlsPolicy, service: string): PolicyTarget[] {
  return spec.targetRefs.filter(({ group, kind, name }) =>
    group === "" && kind === "Service" && name === service
  );
}

function goesBefore(a: BackendTlsPolicy, b: BackendTlsPolicy): boolean {
  return a.meta.created !== b.meta.created
    ? a.meta.created < b.meta.created
    : a.meta.name < b.meta.name;
}

interface OwnContent {
  /** Can the policy be followed where it is in effect? */
  valid: Outcome<PolicyAcceptedReason>;
  resolvedRefs: Outcome<PolicyRefsReason>;
  trust: TrustMaterial[];
}

function ownContent(policy: BackendTlsPolicy, { view, trustCache }: PolicyContext): OwnContent {
  const { caCertificateRefs = [], wellKnownCACertificates } = policy.spec.validation;
  if (caCertificateRefs.length === 0) {
    return { valid: wellKnown(wellKnownCACertificates), resolvedRefs: OK, trust: [] };
  }
  const { namespace } = policy.meta;
  const decisions = caCertificateRefs.map((ref, index) =>
    decideTrust(ref, {
      view,
      cache: trustCache,
      from: { group: GATEWAY_GROUP, kind: "BackendTLSPolicy", namespace },
      field: `spec.validation.caCertificateRefs[${index}]`,
    })
  );
  const trust = decisions.flatMap((decision) => decision.ok ? [decision.material] : []);
  const bad = decisions.find((decision) => !decision.ok);
  return {
    valid: trust.length > 0 || bad === undefined || bad.ok
      ? OK
      : refuse("NoValidCACertificate", bad.message),
    resolvedRefs: bad === undefined || bad.ok ? OK : refuse(refsReason(bad), bad.message),
    trust,
  };
}

function refsReason({ problem }: TrustDecision & { ok: false }): PolicyRefsReason {
  switch (problem) {
    case "kind":
      return "InvalidKind";
    case "reference":
    case "permission":
      return "InvalidCACertificateRef";
  }
}

function wellKnown(value: string | undefined): Outcome<PolicyAcceptedReason> {
  if (value === "System") return OK;
  return refuse(
    "Invalid",
    `spec.validation.wellKnownCACertificates: "${value ?? ""}" is not known here; use System, or ` +
      "caCertificateRefs",
  );
}

/** Another policy may be in effect for the same target (GEP-713: conflicts). */
function unrivalled(
  policy: BackendTlsPolicy,
  view: ClusterView,
): Outcome<PolicyAcceptedReason> {
  for (const [index, target] of policy.spec.targetRefs.entries()) {
    if (target.group !== "" || target.kind !== "Service") continue;
    const rival = view.policiesOf(policy.meta.namespace, target.name).find((other) =>
      other.meta.name !== policy.meta.name && goesBefore(other, policy) &&
      targetsOf(other, target.name).some(({ sectionName }) => sectionName === target.sectionName)
    );
    if (rival === undefined) continue;
    return refuse(
      "Conflicted",
      `spec.targetRefs[${index}]: BackendTLSPolicy "${rival.meta.name}" has the same target and ` +
        "goes before this one; remove one of them",
    );
  }
  return OK;
}

function settingsOf(
  { spec: { validation } }: BackendTlsPolicy,
  trust: readonly TrustMaterial[],
): BackendTls {
  const names = (validation.subjectAltNames ?? []).flatMap(
    ({ type, hostname, uri }): SubjectAltName[] => {
      switch (type) {
        case "Hostname":
          return hostname === undefined ? [] : [{ type: "dns", value: hostname.toLowerCase() }];
        case "URI":
          return uri === undefined ? [] : [{ type: "uri", value: uri }];
      }
    },
  );
  return {
    serverName: validation.hostname.toLowerCase(),
    ...(names.length === 0 ? {} : { subjectAltNames: names }),
    ...(trust.length === 0 ? {} : { trust: trust.map(({ slot }) => slot) }),
  };
}
