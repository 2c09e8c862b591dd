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
import type { ClusterView } from "../store/view.ts";
import { grantHint, referenceAllowed } from "./grants.ts";
import type { BackendReason } from "./outcome.ts";

/** A backend that can be talked to. */
export interface ResolvedBackend {
  ok: true;
  /** Id of the cluster resource. */
  cluster: string;
  /** Key of the endpoint set. */
  endpoints: string;
  protocol: "http1" | "h2c";
  source:
    | { kind: "Service"; service: Service; port: ServicePort }
    | { kind: "LightBackend"; backend: LightBackend };
}

export type BackendDecision =
  | ResolvedBackend
  | { ok: false; reason: BackendReason; message: string };

export interface BackendContext {
  view: ClusterView;
  route: HttpRoute;
  /** Names the reference in messages. */
  field: string;
}

/** Kind, then grant, then existence: a missing grant never reveals what exists. */
export function decideBackend(ref: BackendTarget, context: BackendContext): BackendDecision {
  const { view, route, field } = context;
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
    ? serviceBackend(ref, { view, namespace, field })
    : lightBackend(ref, { view, namespace, field });
}

interface Target {
  view: ClusterView;
  namespace: string;
  field: string;
}

function serviceBackend(ref: BackendTarget, { view, namespace, field }: Target): BackendDecision {
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
  const protocol = backendProtocol(port.appProtocol);
  if (protocol === undefined) {
    return bad(
      "UnsupportedProtocol",
      `${field}: appProtocol ${port.appProtocol} of ${name} port ${port.port} is not supported; ` +
        "use http, kubernetes.io/h2c or kubernetes.io/ws",
    );
  }
  return {
    ok: true,
    cluster: clusterId(namespace, ref.name, port.port),
    endpoints: endpointsKey(namespace, ref.name, port.port),
    protocol,
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
    source: { kind: "LightBackend", backend },
  };
}

/** GEP-1911: the Service port's appProtocol; undefined when it cannot be spoken. */
function backendProtocol(appProtocol: string | undefined): "http1" | "h2c" | undefined {
  switch (appProtocol?.toLowerCase()) {
    case undefined:
    case "":
    case "http":
    case "tcp":
    case "kubernetes.io/ws":
      return "http1";
    case "kubernetes.io/h2c":
      return "h2c";
    default:
      return undefined;
  }
}

function bad(reason: BackendReason, message: string): BackendDecision {
  return { ok: false, reason, message };
}
