/**
 * What a proxy compiles a Gateway's snapshot into: immutable, swapped by one pointer assignment,
 * and read on every request. Everything that can be decided before a request is decided here.
 */
import type {
  ClusterResource,
  HttpFilter,
  ListenerProtocol,
  SubjectAltName,
} from "../../snapshot/schema.ts";

/** What matching reads of a request. */
export interface RouteRequest {
  /** Upper-case method token. */
  method: string;
  /** Host header or `:authority`: lower-case, without port. */
  host: string;
  /** Raw path as received, without query; starts with `/`. */
  path: string;
  /** Raw query without `?`; empty when there is none. */
  query: string;
  /** Flat list `[name, value, name, value, …]`, names lower-case. */
  headers: readonly string[];
}

/** A listener as the data plane sees it. */
export interface TableListener {
  name: string;
  port: number;
  protocol: ListenerProtocol;
  /** Lower-case; empty = every host. */
  hostname: string;
  /** TLS only: connections are passed on as they are. */
  passthrough: boolean;
  /** Secret slots, HTTPS and TLS only. */
  certificates: readonly string[];
  /** False: its requests are not logged, whatever the proxy's setting. */
  accessLog: boolean;
  /** Bytes of a request body; 0 = the proxy's own bound alone. */
  maxBodyBytes: number;
  /** Null: clients need no certificate. */
  clientValidation: TableClientValidation | null;
}

/** What clients of a listener have to show. */
export interface TableClientValidation {
  /** Trust slots, never empty. */
  trust: readonly string[];
  /** False: they are asked, and let in whatever they answer. */
  required: boolean;
}

/** How connections to a backend are secured. */
export interface TableTls {
  serverName: string;
  /** Empty: the server name itself. */
  subjectAltNames: readonly SubjectAltName[];
  /** Trust slots; null = the authorities that everybody knows. */
  trust: readonly string[] | null;
  /** Secret slot of the Gateway's own certificate; empty = none. */
  clientCertificate: string;
}

/** One backendRef, resolved. */
export interface TableBackend {
  weight: number;
  /** Cluster id; empty when the reference is invalid (answered with 500). */
  cluster: string;
  /** Endpoint set key; empty when the reference is invalid. */
  endpoints: string;
  protocol: ClusterResource["protocol"];
  /** Null: plaintext. */
  tls: TableTls | null;
  /** `namespace/name` of the backend, for logs and metrics; empty when invalid. */
  name: string;
  /** Why the reference is invalid; empty when it is valid. */
  error: string;
  filters: readonly HttpFilter[];
  mirrors: readonly TableMirror[];
}

/** Where copies of requests go. */
export interface TableMirror {
  cluster: string;
  /** Empty when the cluster cannot be talked to. */
  endpoints: string;
  protocol: ClusterResource["protocol"];
  tls: TableTls | null;
  /** Share of the requests, 0–1. */
  share: number;
}

/** One rule of one route on one listener, with what the request path needs. */
export interface TableRule {
  routeNamespace: string;
  routeName: string;
  /** The rule's name, else its index in the route. */
  rule: string;
  ruleIndex: number;
  filters: readonly HttpFilter[];
  mirrors: readonly TableMirror[];
  backends: readonly TableBackend[];
  /** Sum of the weights. */
  totalWeight: number;
  /** Milliseconds; 0 = none. */
  requestTimeout: number;
  backendRequestTimeout: number;
  /** Null: the route says nothing about retries. */
  retry: TableRetry | null;
}

/** When a rule's requests are sent again. */
export interface TableRetry {
  /** In addition to the first. */
  attempts: number;
  codes: ReadonlySet<number>;
  /** Milliseconds; 0 = the proxy's own. */
  backoff: number;
}

/** One match of one rule: the unit of precedence. */
export interface Candidate {
  readonly listener: TableListener;
  readonly rule: TableRule;
  readonly matchIndex: number;
  /** Hostname as written in the route; empty = every host. */
  readonly hostname: string;
  readonly pathType: "exact" | "prefix";
  readonly path: string;
  /** Empty = every method. */
  readonly method: string;
  /** Only calls (gRPC) match. */
  readonly calls: boolean;
  /** Method of a call, whatever its service; empty = every one. */
  readonly rpc: string;
  /** Flat `[name, value, …]`. */
  readonly headers: readonly string[];
  readonly query: readonly string[];
  /** For ties: age of the route in seconds since the epoch. */
  readonly created: number;
}

/** The answer of matching. */
export type Decision =
  | { kind: "route"; candidate: Candidate }
  /** No listener on this port serves the host. Answered with 404. */
  | { kind: "no_listener" }
  /** The listener has no route for the request. Answered with 404. */
  | { kind: "no_route"; listener: TableListener };

/**
 * What a socket has to do with a connection: `TLS` is passthrough alone; `MIXED` has listeners of TLS
 * beside others that terminate it, so that the server name decides.
 */
export type PortProtocol = ListenerProtocol | "MIXED";

/** Everything that a Gateway serves on one declared port. */
export interface PortTable {
  readonly port: number;
  readonly protocol: PortProtocol;
  /** Most specific hostname first. */
  readonly listeners: readonly TableListener[];
  /** Picks the listener for a host or SNI name, by hostname specificity. */
  listenerFor(host: string): TableListener | undefined;
  /** Matches a request: listener by host, then route by precedence. Pure. */
  route(request: RouteRequest): Decision;
  /**
   * Matches a connection or flow: listener by server name, then route by precedence. Pure.
   *
   * @param name lower-case SNI; empty without TLS, and for a client that sent none
   */
  stream(name: string): Decision;
  /** Every candidate of the port in order of precedence per listener: for explain and tests. */
  candidates(): readonly Candidate[];
}

/** One Gateway's compiled snapshot. */
export interface RouteTable {
  readonly scope: string;
  readonly version: number;
  readonly digest: string;
  /** Ports of TCP. */
  readonly ports: ReadonlyMap<number, PortTable>;
  /** Ports of UDP, another name space. */
  readonly datagramPorts: ReadonlyMap<number, PortTable>;
  /** Certificate slots that the table refers to. */
  readonly slots: ReadonlySet<string>;
  /** Trust slots that the table refers to. */
  readonly trust: ReadonlySet<string>;
}
