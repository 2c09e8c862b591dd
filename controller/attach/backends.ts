/** What a backendRef leads to. */
import { clusterId, endpointsKey, lightBackendKey } from "../../shared/snapshot/ids.ts";
import type { ClusterResource } from "../../shared/snapshot/schema.ts";
import {
  type BackendTarget,
  GATEWAY_GROUP,
  LIGHT_GROUP,
  type LightBackend,
  type Route,
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
  protocol: ClusterResource["protocol"];
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
  route: Route;
  /** Its connections may be what was inside of a client's TLS. */
  opened: boolean;
  /** Names the reference in messages. */
  field: string;
}

/** Kind, then grant, then existence: a missing grant never reveals what exists. */
export function decideBackend(ref: BackendTarget, context: BackendContext): BackendDecision {
  const { view, trustCache, route, opened, field } = context;
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
    from: { group: GATEWAY_GROUP, kind: route.kind, namespace: route.meta.namespace },
    to: { group: ref.group, kind: ref.kind, namespace, name: ref.name },
  };
  if (!referenceAllowed(view, reference)) {
    return bad(
      "RefNotPermitted",
      `${field}: ${ref.kind} "${namespace}/${ref.name}" may not be used from here; ` +
        grantHint(reference),
    );
  }
  const target = { view, trustCache, namespace, opened, field, kind: route.kind };
  return isService ? serviceBackend(ref, target) : lightBackend(ref, target);
}

interface Target extends PolicyContext {
  namespace: string;
  field: string;
  /** Of the route. Calls go over HTTP/2, whether the port says so or not. */
  kind: Route["kind"];
  opened: boolean;
}

function serviceBackend(ref: BackendTarget, target: Target): BackendDecision {
  const { view, namespace, field, kind, opened } = target;
  const transport = kind === "UDPRoute" ? "UDP" : "TCP";
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
  const port = ports.find((entry) => entry.port === ref.port && entry.protocol === transport);
  if (port === undefined) {
    if (ports.some((entry) => entry.port === ref.port)) {
      const message = `${field}: port ${ref.port} of ${name} is not ${transport}`;
      return bad("UnsupportedProtocol", message);
    }
    const there = ports.map((entry) => entry.port).join(", ");
    return bad(
      "BackendNotFound",
      `${field}: ${name} has no port ${ref.port}; it has ${there === "" ? "none" : there}`,
    );
  }
  const place = { namespace, name: ref.name, port: port.port };
  const source = { kind: "Service" as const, service, port };
  // Bytes that no listener of the route opens are passed on as they are, whatever a policy says of the
  // backend. Where one does, a policy that cannot be followed holds for the route as a whole.
  if (kind === "UDPRoute") return streamBackend(place, { variant: "udp", source });
  if (kind === "TCPRoute" && !opened) return streamBackend(place, { variant: "tcp", source });
  const { policies, secured, problem } = portPolicies({ service, port }, target);
  if (problem !== undefined) {
    const { reason, message } = problem;
    return { ok: false, because: "policy", reason, message: `${field}: ${message}`, policies };
  }
  if (kind === "TLSRoute" || kind === "TCPRoute") {
    const backend = streamBackend(place, { variant: "tls", source });
    return { ...backend, policies, ...(secured === undefined ? {} : { secured }) };
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
  // Requests of an HTTPRoute to the same port go over HTTP/1.1.
  const raised = kind === "GRPCRoute" && protocol === "http1";
  return {
    ok: true,
    cluster: clusterId(namespace, ref.name, port.port, ...raised ? ["grpc"] : []),
    endpoints: endpointsKey(namespace, ref.name, port.port),
    protocol: raised ? "h2c" : protocol,
    ...(secured === undefined ? {} : { secured }),
    policies,
    source,
  };
}

/**
 * Bytes are passed on as they are, whatever the port's appProtocol says. A cluster of the variant
 * `tls` may have TLS of its own, for what was inside of a client's (GEP-2643); others never have.
 */
function streamBackend(
  { namespace, name, port }: { namespace: string; name: string; port: number },
  { variant, source }: { variant: "tcp" | "tls" | "udp"; source: ResolvedBackend["source"] },
): ResolvedBackend {
  const protocol = variant === "udp" ? "udp" : "tcp";
  const light = source.kind === "LightBackend";
  return {
    ok: true,
    cluster: clusterId(namespace, name, port, light ? `lightbackend-${variant}` : variant),
    endpoints: light
      ? lightBackendKey(namespace, name)
      : endpointsKey(namespace, name, port, protocol),
    protocol,
    policies: [],
    source,
  };
}

function lightBackend(
  ref: BackendTarget,
  { view, namespace, field, kind, opened }: Target,
): BackendDecision {
  const backend = view.get("LightBackend", namespace, ref.name);
  if (backend === undefined) {
    const message = `${field}: LightBackend "${namespace}/${ref.name}" does not exist; create it`;
    return bad("BackendNotFound", message);
  }
  if (kind === "UDPRoute") {
    return bad(
      "UnsupportedProtocol",
      `${field}: LightBackend "${namespace}/${ref.name}" cannot take datagrams; name a Service`,
    );
  }
  if (kind === "TCPRoute" || kind === "TLSRoute") {
    const place = { namespace, name: ref.name, port: 0 };
    const variant = opened ? "tls" : "tcp";
    return streamBackend(place, { variant, source: { kind: "LightBackend", backend } });
  }
  if (kind === "GRPCRoute" && backend.spec.protocol !== "h2c") {
    return bad(
      "UnsupportedProtocol",
      `${field}: LightBackend "${namespace}/${ref.name}" speaks ${backend.spec.protocol}, and calls ` +
        "need HTTP/2; set spec.protocol to h2c",
    );
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
