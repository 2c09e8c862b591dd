/** The parts of `objects.ts` about routes of bytes and datagrams: TCPRoute, TLSRoute, UDPRoute. */
import type { BackendTarget, ObjectMeta, ParentRef } from "./objects.ts";

/** The schema admits exactly one rule per route. */
export interface StreamRule {
  name?: string;
  backendRefs: StreamBackendRef[];
}

export interface StreamBackendRef extends BackendTarget {
  weight: number;
}

interface StreamSpec {
  parentRefs?: ParentRef[];
  rules: StreamRule[];
}

export interface TcpRoute {
  kind: "TCPRoute";
  meta: ObjectMeta;
  spec: StreamSpec;
}

export interface TlsRoute {
  kind: "TLSRoute";
  meta: ObjectMeta;
  spec: StreamSpec & { hostnames: string[] };
}

export interface UdpRoute {
  kind: "UDPRoute";
  meta: ObjectMeta;
  spec: StreamSpec;
}

/** A route of connections or flows, whatever they carry. */
export type StreamRoute = TcpRoute | TlsRoute | UdpRoute;
