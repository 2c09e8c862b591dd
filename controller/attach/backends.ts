/** What a backendRef leads to. */
import { clusterId, endpointsKey, lightBackendKey } from "../../shared/snapshot/ids.ts";
import {
  type BackendTarget,
  GATEWAY_GROUP,
  type HttpRoute,
  LIGHT_GROUP,
  type LightBackend,
  type Service,
  type ServicePort,
} from "../model/objects.ts";
import { type PolicyContext, portPolicies, type SecuredBackend } from "./backend_tls.ts";
import { grantHint, referenceAllowed } from "./grants.ts";
import type { BackendReason, PolicyAcceptedReason } from "./outcome.ts";

/** A backend that can be talked to. */
export interface ResolvedBackend {
  ok: true;
  /** Id of the cluster resource. */
  cluster: string;
  /** Key of the endpoint set. */
  endpoints: string;
  protocol: "http1" | "h2c";
  /** Absent: plaintext. */
  secured?: SecuredBackend;
  /** Keys of the policies that are about it, in effect or not. */
  policies: readonly string[];
  source:
    | { kind: "Service"; service: Service; port: ServicePort }
    | { kind: "LightBackend"; backend: LightBackend };
}

export type BackendDecision =
  | ResolvedBackend
  /** The reference leads nowhere, which the route's status tells. */
  | { ok: false; because: "reference"; reason: BackendReason; message: string }
  /** The backend is there, and the policy for it cannot be followed; the policy's status tells. */
  | {
    ok: false;
    because: "policy";
    reason: PolicyAcceptedReason;
    message: string;
    policies: readonly string[];
  };

export interface BackendContext extends PolicyContext {
  route: HttpRoute;
  /** Names the reference in messages. */
  field: string;
}

/** Kind, then grant, then existence: a missing grant never reveals what exists. */
export function decideBackend(ref: BackendTarget, context: BackendContext): BackendDecision {
  const { view, trustCache, route, field } = context;
  const isService = ref.group === "" && ref.kind === "Service";
  const isLight = ref.group === LIGHT_GROUP && ref.kind === "LightBackend";
  if (!isService && !isLight) {
    return bad(
      "InvalidKind",
      `${field}: ${ref.kind} of group "${ref.group}" is not supported; use Service or LightBackend`,
    );
  }
  const namespace = ref.namespace ?? route.meta.namespace;
  const reference = {
    from: { group: GATEWAY_GROUP, kind: "HTTPRoute", namespace: route.meta.namespace },
    to: { group: ref.group, kind: ref.kind, namespace, name: ref.name },
  };
  if (!referenceAllowed(view, reference)) {
    return bad(
      "RefNotPermitted",
      `${field}: ${ref.kind} "${namespace}/${ref.name}" may not be used from here; ` +
        grantHint(reference),
    );
  }
  return isService
    ? serviceBackend(ref, { view, trustCache, namespace, field })
    : lightBackend(ref, { view, trustCache, namespace, field });
}

interface Target extends PolicyContext {
  namespace: string;
  field: string;
}

function serviceBackend(ref: BackendTarget, target: Target): BackendDecision {
  const { view, namespace, field } = target;
  const name = `Service "${namespace}/${ref.name}"`;
  const service = view.get("Service", namespace, ref.name);
  if (service === undefined) {
    return bad("BackendNotFound", `${field}: ${name} does not exist; create it or fix the name`);
  }
  if (service.spec.type === "ExternalName") {
    // CVE-2021-25740: an ExternalName Service reaches what its author could not.
    return bad(
      "BackendNotFound",
      `${field}: ${name} is of type ExternalName, which is not followed; use a LightBackend`,
    );
  }
  const ports = service.spec.ports ?? [];
  const port = ports.find((entry) => entry.port === ref.port && entry.protocol === "TCP");
  if (port === undefined) {
    if (ports.some((entry) => entry.port === ref.port)) {
      const message = `${field}: port ${ref.port} of ${name} is not TCP`;
      return bad("UnsupportedProtocol", message);
    }
    const there = ports.map((entry) => entry.port).join(", ");
    return bad(
      "BackendNotFound",
      `${field}: ${name} has no port ${ref.port}; it has ${there === "" ? "none" : there}`,
    );
  }
  const { policies, secured, problem } = portPolicies({ service, port }, target);
  if (problem !== undefined) {
    const { reason, message } = problem;
    return { ok: false, because: "policy", reason, message: `${field}: ${message}`, policies };
  }
  const protocol = backendProtocol(port.appProtocol, secured !== undefined);
  if (protocol === "needs_tls") {
    return bad(
      "UnsupportedProtocol",
      `${field}: appProtocol ${port.appProtocol} of ${name} port ${port.port} needs a ` +
        "BackendTLSPolicy that says whom to trust; add one",
    );
  }
  if (protocol === undefined) {
    return bad(
      "UnsupportedProtocol",
      `${field}: appProtocol ${port.appProtocol} of ${name} port ${port.port} is not supported; ` +
        "use http, https, kubernetes.io/h2c, kubernetes.io/ws or kubernetes.io/wss",
    );
  }
  return {
    ok: true,
    cluster: clusterId(namespace, ref.name, port.port),
    endpoints: endpointsKey(namespace, ref.name, port.port),
    protocol,
    ...(secured === undefined ? {} : { secured }),
    policies,
    source: { kind: "Service", service, port },
  };
}

function lightBackend(ref: BackendTarget, { view, namespace, field }: Target): BackendDecision {
  const backend = view.get("LightBackend", namespace, ref.name);
  if (backend === undefined) {
    const message = `${field}: LightBackend "${namespace}/${ref.name}" does not exist; create it`;
    return bad("BackendNotFound", message);
  }
  return {
    ok: true,
    cluster: clusterId(namespace, ref.name, 0, "lightbackend"),
    endpoints: lightBackendKey(namespace, ref.name),
    protocol: backend.spec.protocol,
    policies: [],
    source: { kind: "LightBackend", backend },
  };
}

/**
 * GEP-1911: the Service port's appProtocol; undefined when it cannot be spoken. With TLS, HTTP/2 is
 * agreed on by ALPN; what says TLS is never spoken without.
 */
function backendProtocol(
  appProtocol: string | undefined,
  secured: boolean,
): "http1" | "h2c" | "needs_tls" | undefined {
  switch (appProtocol?.toLowerCase()) {
    case undefined:
    case "":
    case "http":
    case "tcp":
    case "kubernetes.io/ws":
      return "http1";
    case "https":
    case "kubernetes.io/wss":
      return secured ? "http1" : "needs_tls";
    case "kubernetes.io/h2c":
      return "h2c";
    default:
      return undefined;
  }
}

function bad(reason: BackendReason, message: string): BackendDecision {
  return { ok: false, because: "reference", reason, message };
}
