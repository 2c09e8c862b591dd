/**
 * The content of snapshots and of last-value data: the contract between the controller, which
 * writes it, and proxies, the CLI and replay, which read it.
 *
 * Content only: no pod addresses, fleet ports, ClusterIPs, certificates, keys or object metadata;
 * what changes by itself (endpoints, certificates, binds) is last-value data, outside versions, so
 * that a rollback never restores it. Every value is canonical-JSON-safe: no null, no float;
 * durations are integer milliseconds. An optional member is absent, never null or undefined.
 */

/** Raised with every change that an older reader could misread. */
export const SCHEMA = 1;

/** What every resource may carry. */
interface ResourceBase {
  /** Names of features a reader must understand to apply this resource; absent = none. */
  requires?: string[];
}

/**
 * One listener of a Gateway. Id: `listener/<gateway-ns>/<gateway>/<name>`. The name of a listener
 * that a ListenerSet adds is `<set-ns>/<set>/<name>`.
 */
export interface ListenerResource extends ResourceBase {
  kind: "listener";
  name: string;
  /** The declared port, 1–65535; never the fleet's. */
  port: number;
  /** Other than HTTP and HTTPS: names `tcpRoute`, `tlsRoute` or `udpRoute` in `requires`. */
  protocol: ListenerProtocol;
  /** Lower-case; `*.example.com` or `www.example.com`; empty = every host. */
  hostname: string;
  /** Secret slots (`cert/<ns>/<name>`) in the order of certificateRefs; HTTPS and TLS only. */
  certificates?: string[];
  /** TLS only: connections go to the backend as they are, and there are no certificates. */
  passthrough?: true;
  /** False: requests are not in the access log. Absent = as the proxy is configured. */
  accessLog?: boolean;
  /** Bytes of a request body, below what the proxy is configured with; absent = no other bound. */
  maxBodyBytes?: number;
  /** Clients have to show a certificate. HTTPS only; names `clientValidation` in `requires`. */
  clientValidation?: ClientValidation;
}

/** What a listener takes: requests, connections (TLS by server name), or datagrams. */
export type ListenerProtocol = "HTTP" | "HTTPS" | "TLS" | "TCP" | "UDP";

/** What the listeners of one port ask of clients (FrontendTLSValidation). */
export interface ClientValidation {
  /** Trust slots (`ca/<ns>/<name>`) of the authorities, in the order of the references. Never empty. */
  trust: string[];
  /** `require` closes connections without a valid certificate; `request` lets everyone in. */
  mode: "require" | "request";
}

/** One HTTPRoute with all its rules. Id: `httproute/<ns>/<name>`. */
export interface HttpRouteResource extends ResourceBase {
  kind: "httproute";
  /**
   * Seconds since the epoch of the object's creation. Routing input, not metadata: the spec breaks
   * ties of precedence by age.
   */
  created: number;
  /** Names of this Gateway's listeners that accepted the route, sorted. Never empty. */
  listeners: string[];
  /** As written in the route, lower-case, sorted; empty = every host of the listener. */
  hostnames: string[];
  rules: HttpRule[];
}

/**
 * One GRPCRoute with all its rules. Id: `grpcroute/<ns>/<name>`. Its matches hold for calls alone:
 * POST requests whose content is `application/grpc`. Names `grpcRoute` in `requires`.
 */
export interface GrpcRouteResource extends Omit<HttpRouteResource, "kind"> {
  kind: "grpcroute";
}

/** A route of requests. */
export type RouteResource = HttpRouteResource | GrpcRouteResource;

/**
 * One TCPRoute, TLSRoute or UDPRoute. Id: `<kind>/<ns>/<name>`. Names the feature of its kind
 * (`tcpRoute`, `tlsRoute`, `udpRoute`) in `requires`. Of several on one listener that take the same
 * connections, precedence is as of routes of requests.
 */
export interface StreamRouteResource extends ResourceBase {
  kind: "tcproute" | "tlsroute" | "udproute";
  /** As of {@linkcode HttpRouteResource}. */
  created: number;
  listeners: string[];
  /** Server names (TLS SNI), as written in the route, lower-case, sorted; empty = every one. */
  hostnames: string[];
  rules: StreamRule[];
}

export interface StreamRule {
  name?: string;
  /** Share of the connections or flows. */
  backends: StreamBackend[];
}

/** As an {@linkcode HttpBackend}: a share without a cluster is closed, or its datagrams dropped. */
export interface StreamBackend {
  weight: number;
  cluster?: string;
  error?: string;
}

export interface HttpRule {
  /** The rule's `name`, when it has one. */
  name?: string;
  /** Never empty: a rule without matches has one PathPrefix `/`. */
  matches: HttpMatch[];
  /** In the order of the manifest. */
  filters: HttpFilter[];
  /** Empty = answered with 500, unless a redirect filter answers first. */
  backends: HttpBackend[];
  timeouts?: HttpTimeouts;
  retry?: HttpRetry;
}

/** When a request is sent again (HTTPRouteRetry). */
export interface HttpRetry {
  /** Times in addition to the first, 0–100; 0 = nothing that an endpoint may have seen, ever. */
  attempts: number;
  /** Statuses of the backend that are tried again, sorted; none = only failed connections are. */
  codes: number[];
  /** Milliseconds before the first retry, from which the waits grow; absent = the reader's own. */
  backoff?: number;
}

export interface HttpTimeouts {
  /** Milliseconds for the whole exchange, every attempt included; 0 = off. */
  request?: number;
  /** Milliseconds for one attempt; 0 = off. */
  backendRequest?: number;
}

export interface PathMatch {
  type: "exact" | "prefix";
  /** Starts with `/`; a prefix has no trailing slash unless it is `/` itself. */
  value: string;
}

/** One header (name lower-case) or query parameter (name case-sensitive) that must be equal. */
export interface ValueMatch {
  name: string;
  value: string;
}

export interface HttpMatch {
  path: PathMatch;
  /** Upper-case method token. */
  method?: string;
  /** Method of a call, whatever its service: the last element of the path. Of GRPCRoutes only. */
  rpc?: string;
  /** All must match; no name twice. */
  headers?: ValueMatch[];
  query?: ValueMatch[];
}

export interface HeaderValue {
  name: string;
  value: string;
}

export interface HeaderModifier {
  set?: HeaderValue[];
  add?: HeaderValue[];
  remove?: string[];
}

export type PathRewrite =
  /** Replace the whole path; the query stays. */
  | { type: "full"; value: string }
  /** Replace the matched prefix; only with prefix matches. */
  | { type: "prefix"; value: string };

export interface RequestHeadersFilter extends HeaderModifier {
  type: "requestHeaders";
}
export interface ResponseHeadersFilter extends HeaderModifier {
  type: "responseHeaders";
}
export interface RedirectFilter {
  type: "redirect";
  scheme?: "http" | "https";
  hostname?: string;
  port?: number;
  path?: PathRewrite;
  /** 301, 302, 303, 307 or 308. */
  status: number;
}
export interface RewriteFilter {
  type: "rewrite";
  hostname?: string;
  path?: PathRewrite;
}

/** Sends a copy of requests to one endpoint of a cluster and ignores its answers. */
export interface MirrorFilter {
  type: "mirror";
  /** Id of a cluster of the same snapshot. A reference that does not resolve gives no filter. */
  cluster: string;
  /** Numerator ≤ denominator; absent = every request. */
  share?: { numerator: number; denominator: number };
}

/** Cross-origin requests (Fetch standard, HTTP-CORS protocol; Gateway API HTTPCORSFilter). */
export interface CorsFilter {
  type: "cors";
  /** `*`, or `<scheme>://<host>[:<port>]`, lower-case, where the host may begin with `*`. */
  allowOrigins: string[];
  allowCredentials: boolean;
  /** `*` alone, or methods; empty = the header is not sent. */
  allowMethods: string[];
  /** `*` alone, or header names; empty = the header is not sent. */
  allowHeaders: string[];
  /** Header names, among which `*`; empty = the header is not sent. */
  exposeHeaders: string[];
  /** Seconds that a preflight's answer may be kept. */
  maxAge: number;
}

export type HttpFilter =
  | RequestHeadersFilter
  | ResponseHeadersFilter
  | RedirectFilter
  | RewriteFilter
  | MirrorFilter
  | CorsFilter;

/** One backendRef with its share of the rule's requests. */
export interface HttpBackend {
  /** 0–1,000,000; 0 = no traffic. */
  weight: number;
  /** Id of a cluster of the same snapshot; absent when the reference could not be resolved. */
  cluster?: string;
  /** Why there is no cluster: the reason of the route's ResolvedRefs condition. Answered with 500. */
  error?: string;
  /** Filters of the backendRef, after the rule's. */
  filters?: HttpFilter[];
}

/**
 * How a scope talks to an endpoint set. Id: `cluster/<ns>/<service>/<port>`, and
 * `cluster/<ns>/<name>/<port>/lightbackend` for a LightBackend; routes of connections and datagrams
 * have clusters of their own, `…/tcp`, `…/tls` and `…/udp`.
 */
export interface ClusterResource extends ResourceBase {
  kind: "cluster";
  /** Key of the endpoint set: `<ns>/<service>/<port>`, with `-udp` for a port of UDP. */
  endpoints: string;
  /**
   * `h2c` is HTTP/2: by prior knowledge in plaintext, by ALPN with `tls`. `tcp` and `udp` are passed
   * on as they come; only routes of connections and datagrams refer to such a cluster.
   */
  protocol: "http1" | "h2c" | "tcp" | "udp";
  /** Absent = plaintext. Names `backendTls` in `requires`. */
  tls?: BackendTls;
}

/** How connections to a backend are secured (BackendTLSPolicy). */
export interface BackendTls {
  /** Sent as SNI; also the name that the certificate must have, unless `subjectAltNames` says it. */
  serverName: string;
  /** One of them must be in the certificate; absent = `serverName`. Never empty. */
  subjectAltNames?: SubjectAltName[];
  /** Trust slots (`ca/<ns>/<name>`), never empty; absent = the authorities that everybody knows. */
  trust?: string[];
}

export interface SubjectAltName {
  type: "dns" | "uri";
  /** A DNS name in lower case, whose first label may be `*`; or an absolute URI. */
  value: string;
}

/**
 * What all connections of a scope to its backends share. Id: `upstream/<gw-ns>/<gw>`; not there when
 * there is nothing to say. Names `clientCertificate` in `requires`.
 */
export interface UpstreamResource extends ResourceBase {
  kind: "upstream";
  /** Secret slot (`cert/<ns>/<name>`) of the certificate that backends are shown over TLS. */
  clientCertificate?: string;
  /** Why there is none although one is asked for: then no backend is talked to over TLS. */
  error?: string;
}

/** One scope that a fleet serves; resource of the catalogue `fleet/<name>`. Id: `scope/<scope>`. */
export interface ScopeResource extends ResourceBase {
  kind: "scope";
  scope: string;
  /** A reader is complete at this version or above; 0 for a tombstone. */
  minVersion: number;
  /** The scope is gone: drop it. */
  tombstone: boolean;
}

export type Resource =
  | ListenerResource
  | RouteResource
  | StreamRouteResource
  | ClusterResource
  | UpstreamResource
  | ScopeResource;

/** Resource id → resource: the content of one snapshot. */
export type Resources = ReadonlyMap<string, Resource>;

/* ---- last-value data ------------------------------------------------------------------------ */

/** How the address of an endpoint begins that is a Unix socket. */
export const UNIX_ADDRESS = "unix:";

/** One address behind a Service port. */
export interface Endpoint {
  /** IP address; a host name, which readers resolve and follow; or `unix:` and an absolute path. */
  address: string;
  /** 0 with a Unix socket, else 1–65535. */
  port: number;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  node?: string;
  zone?: string;
  /** Identity expected of the peer (mesh). */
  identity?: string;
}

/** Last-value data under `lgw.v1.endpoints.<ns>.<service>.<port>`; key `<ns>/<service>/<port>`. */
export interface EndpointSet {
  kind: "endpoints";
  /** Sorted by address, then port. */
  endpoints: Endpoint[];
}

/** Gateway port → port that the fleet binds for it, per Gateway scope. */
export interface BindMap {
  kind: "bind";
  /** Sorted by port. */
  ports: { port: number; fleetPort: number }[];
  /** The same for ports of UDP; absent when there are none. */
  udp?: { port: number; fleetPort: number }[];
}

/**
 * One certificate slot: chain in the clear, private key sealed to the fleet's key, in one message
 * so that they can never be mixed up.
 */
export interface SealedSecret {
  kind: "secret";
  /** `cert/<ns>/<name>`. */
  slot: string;
  /** PEM, leaf first. */
  chain: string;
  /** Compact JWE (ECDH-ES, X25519) of the PEM private key. */
  sealedKey: string;
  /** `sha256:` + hex of the leaf's DER. */
  fingerprint: string;
}

/**
 * Certificates of authorities, from a ConfigMap, under `lgw.v1.trust.<…>`; key `ca/<ns>/<name>`.
 * Outside of versions like other certificates: a rollback never trusts an authority again.
 */
export interface TrustBundle {
  kind: "trust";
  /** PEM, one certificate after the other; at least one. */
  certificates: string;
}

/**
 * What clients of a mesh dial: the addresses of a Service, per Service `<ns>/<service>`, under
 * `lgw.v1.frontend.<ns>.<service>`. Part of the wire format; a proxy of Gateways does not read it.
 */
export interface MeshFrontend {
  kind: "frontend";
  /** ClusterIPs, sorted; empty for a headless Service. */
  addresses: string[];
  /** Sorted by port. */
  ports: { port: number; name?: string; appProtocol?: string }[];
}

export type LastValue = EndpointSet | BindMap | SealedSecret | TrustBundle | MeshFrontend;
