/**
 * The parts of the Gateway API and Kubernetes objects that the controller reads, as an API server
 * would store them: defaulted, pruned, structurally valid. Sources make them at the border; nothing
 * behind this file checks types again. Field meaning: Gateway API v1.7.0, standard channel.
 */
import type { RedactedText } from "../publish/types.ts";
import type { GrpcRoute } from "./grpc_objects.ts";
import type { StreamRoute, TcpRoute, TlsRoute, UdpRoute } from "./stream_objects.ts";
import type { BackendTlsPolicy, FrontendTls } from "./tls_objects.ts";

export const GATEWAY_GROUP = "gateway.networking.k8s.io";
export const LIGHT_GROUP = "gateway.lightapi.net";

export type Labels = Readonly<Record<string, string>>;

export interface ObjectMeta {
  /** Empty for cluster-scoped kinds. */
  namespace: string;
  name: string;
  uid: string;
  /** Counts changes of the spec, from 1. */
  generation: number;
  /** Seconds since the epoch. */
  created: number;
  labels: Labels;
  /** Who last wrote the object: the file, or a field manager. */
  manager: string;
}

export interface GatewayClass {
  kind: "GatewayClass";
  meta: ObjectMeta;
  spec: { controllerName: string; description?: string; parametersRef?: ParametersRef };
}

export interface ParametersRef {
  group: string;
  kind: string;
  name: string;
  namespace?: string;
}

export interface RouteGroupKind {
  group: string;
  kind: string;
}

export interface LabelSelector {
  matchLabels?: Labels;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

export interface RouteNamespaces {
  from: "All" | "Selector" | "Same";
  selector?: LabelSelector;
}

export interface SecretRef {
  group: string;
  kind: string;
  name: string;
  namespace?: string;
}

export interface ListenerTls {
  mode: "Terminate" | "Passthrough";
  certificateRefs?: SecretRef[];
  options?: Labels;
}

export interface GatewayListener {
  name: string;
  port: number;
  protocol: string;
  hostname?: string;
  tls?: ListenerTls;
  allowedRoutes: { namespaces: RouteNamespaces; kinds?: RouteGroupKind[] };
}

export interface GatewayAddress {
  type: string;
  value?: string;
}

export interface Gateway {
  kind: "Gateway";
  meta: ObjectMeta;
  spec: {
    gatewayClassName: string;
    listeners: GatewayListener[];
    addresses?: GatewayAddress[];
    infrastructure?: { labels?: Labels; annotations?: Labels; parametersRef?: ParametersRef };
    tls?: { frontend?: FrontendTls; backend?: { clientCertificateRef?: SecretRef } };
    allowedListeners?: { namespaces: ListenerNamespaces };
  };
}

/** Namespaces whose ListenerSets may add listeners; `None` = nobody's. */
export interface ListenerNamespaces {
  from: RouteNamespaces["from"] | "None";
  selector?: LabelSelector;
}

/** Listeners that are added to a Gateway, owned by somebody else. */
export interface ListenerSet {
  kind: "ListenerSet";
  meta: ObjectMeta;
  spec: { parentRef: ParentGatewayRef; listeners: GatewayListener[] };
}

export interface ParentGatewayRef {
  group: string;
  kind: string;
  name: string;
  namespace?: string;
}

export interface ParentRef {
  group: string;
  kind: string;
  name: string;
  namespace?: string;
  sectionName?: string;
  port?: number;
}

export type StringMatchType = "Exact" | "RegularExpression";

export interface NamedMatch {
  name: string;
  type: StringMatchType;
  value: string;
}

export interface RouteMatch {
  path: { type: "Exact" | "PathPrefix" | "RegularExpression"; value: string };
  method?: string;
  headers?: NamedMatch[];
  queryParams?: NamedMatch[];
}

export interface HeaderPair {
  name: string;
  value: string;
}

export interface HeaderModifierSpec {
  set?: HeaderPair[];
  add?: HeaderPair[];
  remove?: string[];
}

export interface PathModifier {
  type: "ReplaceFullPath" | "ReplacePrefixMatch";
  replaceFullPath?: string;
  replacePrefixMatch?: string;
}

export interface RedirectSpec {
  scheme?: "http" | "https";
  hostname?: string;
  path?: PathModifier;
  port?: number;
  statusCode: number;
}

export interface RewriteSpec {
  hostname?: string;
  path?: PathModifier;
}

/** Which object a reference to a backend names. */
export interface BackendTarget {
  group: string;
  kind: string;
  name: string;
  namespace?: string;
  port?: number;
}

export interface MirrorSpec {
  backendRef: BackendTarget;
  /** At most one of the two; neither = every request. */
  percent?: number;
  fraction?: { numerator: number; denominator: number };
}

export interface CorsSpec {
  allowOrigins?: string[];
  allowCredentials?: boolean;
  allowMethods?: string[];
  allowHeaders?: string[];
  exposeHeaders?: string[];
  /** Seconds. */
  maxAge: number;
}

export type FilterType =
  | "RequestHeaderModifier"
  | "ResponseHeaderModifier"
  | "RequestMirror"
  | "RequestRedirect"
  | "URLRewrite"
  | "ExtensionRef"
  | "CORS";

/** As in the API: `type` names the one member that is set. */
export interface RouteFilter {
  type: FilterType;
  requestHeaderModifier?: HeaderModifierSpec;
  responseHeaderModifier?: HeaderModifierSpec;
  requestRedirect?: RedirectSpec;
  urlRewrite?: RewriteSpec;
  requestMirror?: MirrorSpec;
  extensionRef?: { group: string; kind: string; name: string };
  cors?: CorsSpec;
}

export interface BackendRef extends BackendTarget {
  weight: number;
  filters?: RouteFilter[];
}

export interface RetrySpec {
  codes?: number[];
  attempts: number;
  /** Milliseconds. */
  backoff?: number;
}

export interface RouteRule {
  name?: string;
  matches: RouteMatch[];
  filters?: RouteFilter[];
  backendRefs?: BackendRef[];
  /** Milliseconds. */
  timeouts?: { request?: number; backendRequest?: number };
  retry?: RetrySpec;
}

export interface HttpRoute {
  kind: "HTTPRoute";
  meta: ObjectMeta;
  spec: { parentRefs?: ParentRef[]; hostnames?: string[]; rules: RouteRule[] };
}

/** A route of requests, whatever they carry. */
export type RequestRoute = HttpRoute | GrpcRoute;

/** A route of any kind. */
export type Route = RequestRoute | StreamRoute;

/** In the order in which they are decided, which has no meaning. */
export const ROUTE_KINDS = ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"] as const;

export interface ReferenceGrant {
  kind: "ReferenceGrant";
  meta: ObjectMeta;
  spec: {
    from: { group: string; kind: string; namespace: string }[];
    to: { group: string; kind: string; name?: string }[];
  };
}

export interface ServicePort {
  name?: string;
  port: number;
  protocol: string;
  appProtocol?: string;
}

export interface Service {
  kind: "Service";
  meta: ObjectMeta;
  spec: { type: string; ports?: ServicePort[] };
}

export interface SliceEndpoint {
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  nodeName?: string;
  zone?: string;
}

export interface EndpointSlice {
  kind: "EndpointSlice";
  meta: ObjectMeta;
  addressType: "IPv4" | "IPv6" | "FQDN";
  endpoints: SliceEndpoint[];
  ports?: { name?: string; port?: number; protocol: string }[];
}

export interface Secret {
  kind: "Secret";
  meta: ObjectMeta;
  type: string;
  data: ReadonlyMap<string, RedactedText>;
}

export interface Namespace {
  kind: "Namespace";
  meta: ObjectMeta;
}

export interface ConfigMap {
  kind: "ConfigMap";
  meta: ObjectMeta;
  data: ReadonlyMap<string, string>;
}

/** Where a LightBackend is: an address (IP or name) with its port, or a Unix socket. */
export interface LightEndpoint {
  address?: string;
  port?: number;
  /** Absolute path; instead of address and port. */
  unixPath?: string;
}

/** `gateway.lightapi.net/v1alpha1`: endpoints without a Service. */
export interface LightBackend {
  kind: "LightBackend";
  meta: ObjectMeta;
  spec: { protocol: "http1" | "h2c"; endpoints: LightEndpoint[] };
}

/** `gateway.lightapi.net/v1alpha1`: what the Gateways of a class, or one Gateway, are like. */
export interface GatewayParameters {
  kind: "GatewayParameters";
  meta: ObjectMeta;
  spec: {
    service?: {
      type?: "LoadBalancer" | "ClusterIP" | "NodePort";
      annotations?: Labels;
      loadBalancerClass?: string;
      externalTrafficPolicy?: "Cluster" | "Local";
    };
    /** No Service: others bring traffic to the fleet, at these addresses. Of a class only. */
    unmanaged?: { addresses: string[] };
    /** CIDRs in which Gateways may ask for addresses. Of a class only. */
    addresses?: { allowed: string[] };
    accessLog?: { enabled: boolean };
    limits?: { maxBodyBytes?: number };
  };
}

export interface ObjectByKind {
  GatewayClass: GatewayClass;
  Gateway: Gateway;
  ListenerSet: ListenerSet;
  HTTPRoute: HttpRoute;
  GRPCRoute: GrpcRoute;
  TCPRoute: TcpRoute;
  TLSRoute: TlsRoute;
  UDPRoute: UdpRoute;
  BackendTLSPolicy: BackendTlsPolicy;
  ReferenceGrant: ReferenceGrant;
  Service: Service;
  EndpointSlice: EndpointSlice;
  Secret: Secret;
  ConfigMap: ConfigMap;
  Namespace: Namespace;
  LightBackend: LightBackend;
  GatewayParameters: GatewayParameters;
}

export type Kind = keyof ObjectByKind;
export type KubeObject = ObjectByKind[Kind];

/** `<Kind>/<namespace>/<name>`; the namespace is empty for cluster-scoped kinds. */
export function objectKey(kind: Kind, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

/** The kind of an object, of its key. */
export function kindOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

/** {@linkcode objectKey} of an object. */
export function keyOf(object: KubeObject): string {
  return objectKey(object.kind, object.meta.namespace, object.meta.name);
}
