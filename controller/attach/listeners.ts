/** Which listeners of a Gateway are valid, and what each may serve. */
import { GATEWAY_GROUP } from "../model/objects.ts";
import type { GatewayListener, ListenerSet, RouteGroupKind } from "../model/objects.ts";
import {
  type CertificateContext,
  type CertificateDecision,
  decideCertificate,
} from "./certificates.ts";
import {
  type ClientValidationDecision,
  decideClientValidation,
  type FrontendContext,
} from "./frontend_validation.ts";
import { type Overlap, overlapOf, type TlsListener } from "./overlaps.ts";
import {
  type ListenerAcceptedReason,
  type ListenerConflictReason,
  type ListenerRefsReason,
  OK,
  type Outcome,
  refuse,
} from "./outcome.ts";

export interface ListenerDecision {
  listener: GatewayListener;
  /** Its name in the snapshot: {@linkcode listenerKey}. */
  key: string;
  /** Lower-case; empty = every host. */
  hostname: string;
  /** Kinds of routes that may attach. */
  supportedKinds: RouteGroupKind[];
  accepted: Outcome<ListenerAcceptedReason>;
  conflicted: Outcome<ListenerConflictReason>;
  resolvedRefs: Outcome<ListenerRefsReason>;
  /** In the order of certificateRefs; HTTPS only. */
  certificates: CertificateDecision[];
  /** What clients have to show; HTTPS only, undefined when nothing. */
  clientValidation?: ClientValidationDecision;
  /** TLS configuration that another listener of the port can be confused with. */
  overlap?: Overlap;
  /** Served: in the snapshot with the routes that attach. */
  usable: boolean;
}

const HTTP_ROUTE: RouteGroupKind = { group: GATEWAY_GROUP, kind: "HTTPRoute" };
const GRPC_ROUTE: RouteGroupKind = { group: GATEWAY_GROUP, kind: "GRPCRoute" };
const TLS_ROUTE: RouteGroupKind = { group: GATEWAY_GROUP, kind: "TLSRoute" };
const UDP_ROUTE: RouteGroupKind = { group: GATEWAY_GROUP, kind: "UDPRoute" };
const TCP_ROUTE: RouteGroupKind = { group: GATEWAY_GROUP, kind: "TCPRoute" };

/** The protocols that are served, with the routes that attach unless the listener names others. */
const PROTOCOLS: ReadonlyMap<string, readonly RouteGroupKind[]> = new Map([
  ["HTTP", [HTTP_ROUTE, GRPC_ROUTE]],
  ["HTTPS", [HTTP_ROUTE, GRPC_ROUTE]],
  ["TLS", [TLS_ROUTE]],
  ["TCP", [TCP_ROUTE]],
  ["UDP", [UDP_ROUTE]],
]);

/**
 * What shares a port: listeners of one family, told apart by hostname. Protocols that are missing
 * here are not judged. UDP ports are another name space; like those of TCP they have one listener.
 */
const FAMILY: ReadonlyMap<string, string> = new Map([
  ["HTTP", "http"],
  ["HTTPS", "tls"],
  ["TLS", "tls"],
  ["TCP", "tcp"],
  ["UDP", "udp"],
]);

export interface ListenersContext extends CertificateContext, FrontendContext {
  /** Listeners that come first: of the Gateway, and of older sets. Default none. */
  earlier?: readonly GatewayListener[];
}

/**
 * A listener's name among those of a Gateway and its sets. A set may use a name that the Gateway
 * has: its own contain slashes, which names of listeners cannot.
 */
export function listenerKey(name: string, set: ListenerSet | undefined): string {
  return set === undefined ? name : `${set.meta.namespace}/${set.meta.name}/${name}`;
}

/** Decides every listener of a Gateway, or of one of its sets, in the order of the spec. */
export function decideListeners(context: ListenersContext): ListenerDecision[] {
  const { gateway, set, earlier = [] } = context;
  const own = (set ?? gateway).spec.listeners;
  const lost = own.map((listener) =>
    conflict(listener, earlier, { by: () => "a listener that comes first on this Gateway" })
  );
  // What lost already is in nobody's way: the rest of its set goes on without it.
  const left = own.filter((_, index) => lost[index]?.ok);
  return own.map((listener, index) => {
    const field = `spec.listeners[${index}]`;
    const beforehand = lost[index] ?? OK;
    const conflicted = beforehand.ok
      ? conflict(listener, left, { by: ({ name }) => `listener "${name}"` })
      : beforehand;
    // A port's clients are asked by the Gateway, whoever the listener belongs to.
    const clientValidation = listener.protocol === "HTTPS"
      ? decideClientValidation(gateway, { ...context, port: listener.port })
      : undefined;
    const accepted = accept(listener, { set, field, conflicted, clientValidation });
    const kinds = allowedKinds(listener);
    const certificates = terminatesTls(listener)
      ? (listener.tls?.certificateRefs ?? []).map((ref, position) =>
        decideCertificate(ref, {
          ...context,
          field: `${field}.tls.certificateRefs[${position}]`,
        })
      )
      : [];
    const refs = resolveCertificates(listener, { certificates, field });
    return {
      listener,
      key: listenerKey(listener.name, set),
      hostname: (listener.hostname ?? "").toLowerCase(),
      supportedKinds: kinds.supported,
      accepted,
      conflicted,
      resolvedRefs: [
        refs,
        clientValidation?.resolvedRefs ?? OK,
        kinds.unsupported === undefined
          ? OK
          : refuse("InvalidRouteKinds", `${field}.allowedRoutes.kinds: ${kinds.unsupported}`),
      ].find((outcome) => !outcome.ok) ?? OK,
      certificates,
      ...(clientValidation === undefined ? {} : { clientValidation }),
      usable: accepted.ok && refs.ok,
    };
  });
}

/** What of listeners their overlaps depend on. */
export function tlsListeners(
  decisions: readonly ListenerDecision[],
  owner: string,
): TlsListener[] {
  return decisions.filter(({ listener }) => listener.protocol === "HTTPS")
    .map(({ key, listener: { name, port }, hostname, certificates }) => ({
      key,
      name,
      owner,
      port,
      hostname,
      certificates,
    }));
}

/** The decisions with their overlaps; `tls`: every TLS listener of the Gateway and its sets. */
export function withOverlaps(
  decisions: readonly ListenerDecision[],
  tls: readonly TlsListener[],
): ListenerDecision[] {
  return decisions.map((decision) => {
    const own = tls.find(({ key }) => key === decision.key);
    const overlap = own && overlapOf(own, tls);
    return overlap === undefined ? decision : { ...decision, overlap };
  });
}

interface AcceptContext {
  set: ListenerSet | undefined;
  field: string;
  conflicted: Outcome<ListenerConflictReason>;
  clientValidation: ClientValidationDecision | undefined;
}

function accept(
  listener: GatewayListener,
  { set, field, conflicted, clientValidation }: AcceptContext,
): Outcome<ListenerAcceptedReason> {
  // A set is told that its port is taken, whatever else is wrong: that is not its own to change.
  if (set !== undefined && !conflicted.ok) return conflicted;
  if (!PROTOCOLS.has(listener.protocol)) {
    return refuse(
      "UnsupportedProtocol",
      `${field}.protocol: ${listener.protocol} is not supported; use ${
        [...PROTOCOLS.keys()].join(", ")
      }`,
    );
  }
  if (!conflicted.ok) return conflicted;
  return clientValidation?.accepted ?? OK;
}

/**
 * No listener wins a conflict inside one object: all sides are Conflicted. `by` says who is in the
 * way.
 */
function conflict(
  listener: GatewayListener,
  beside: readonly GatewayListener[],
  { by }: { by: (other: GatewayListener) => string },
): Outcome<ListenerConflictReason> {
  const family = FAMILY.get(listener.protocol);
  if (family === undefined) return OK;
  const others = beside.filter((other) =>
    other !== listener && other.port === listener.port && FAMILY.has(other.protocol) &&
    (other.protocol === "UDP") === (listener.protocol === "UDP")
  );
  const stranger = others.find((other) =>
    FAMILY.get(other.protocol) !== family || family === "tcp" || family === "udp"
  );
  if (stranger !== undefined) {
    return refuse(
      "ProtocolConflict",
      `port ${listener.port} is ${listener.protocol} here and ${stranger.protocol} in ` +
        `${by(stranger)}; give one of them another port`,
    );
  }
  const twin = others.find((other) => (other.hostname ?? "") === (listener.hostname ?? ""));
  if (twin === undefined) return OK;
  const host = listener.hostname === undefined ? "no hostname" : `hostname ${listener.hostname}`;
  return refuse(
    "HostnameConflict",
    `port ${listener.port} with ${host} is used by ${by(twin)} too; give one of them ` +
      "another hostname or port",
  );
}

/** `supportedKinds` is what is asked for and possible; one kind that is not makes it unresolved. */
function allowedKinds(
  listener: GatewayListener,
): { supported: RouteGroupKind[]; unsupported?: string } {
  const usual = PROTOCOLS.get(listener.protocol) ?? [];
  const asked = listener.allowedRoutes.kinds ?? [];
  if (asked.length === 0) return { supported: [...usual] };
  const possible = [...usual, ...kindsOnRequest(listener)];
  const supported = possible.filter((kind) => asked.some((entry) => sameKind(entry, kind)));
  const wrong = asked.find((entry) => !possible.some((kind) => sameKind(entry, kind)));
  if (wrong === undefined) return { supported };
  const choice = possible.map((kind) => kind.kind).join(", ");
  return {
    supported,
    unsupported: `${wrong.kind} of group "${wrong.group}" cannot attach to protocol ` +
      `${listener.protocol}${tlsMode(listener)}; possible: ${choice === "" ? "none" : choice}`,
  };
}

/**
 * Kinds that attach only where `allowedRoutes.kinds` names them. A TCPRoute may take what is inside of
 * TLS (the API's description of TLSRoute says so), but it has no hostnames: one that names its Gateway
 * and no listener would take every server name that no TLSRoute has, on listeners that nobody meant.
 * Where TLS is not ended there is no plain stream for it.
 */
function kindsOnRequest(listener: GatewayListener): RouteGroupKind[] {
  return listener.protocol === "TLS" && terminatesTls(listener) ? [TCP_ROUTE] : [];
}

function tlsMode({ protocol, tls }: GatewayListener): string {
  return protocol === "TLS" ? ` with mode ${tls?.mode ?? "Terminate"}` : "";
}

function sameKind(a: RouteGroupKind, b: RouteGroupKind): boolean {
  return a.group === b.group && a.kind === b.kind;
}

/** Does the Gateway show a certificate of its own? A listener of TLS says so, HTTPS always does. */
export function terminatesTls({ protocol, tls }: GatewayListener): boolean {
  return protocol === "HTTPS" || protocol === "TLS" && tls?.mode !== "Passthrough";
}

function resolveCertificates(
  listener: GatewayListener,
  { certificates, field }: { certificates: CertificateDecision[]; field: string },
): Outcome<ListenerRefsReason> {
  if (!terminatesTls(listener)) return OK;
  if (certificates.length === 0) {
    return refuse(
      "InvalidCertificateRef",
      `${field}.tls.certificateRefs: ${listener.protocol} needs a certificate; name a Secret`,
    );
  }
  return certificates.find((certificate) => !certificate.ok) ?? OK;
}
