/** The parts of `objects.ts` about calls (GRPCRoute). */
import type { BackendRef, NamedMatch, ObjectMeta, ParentRef, RouteFilter } from "./objects.ts";

/** `Exact`: the service, the method, or both are what a call names. */
export interface GrpcMethodMatch {
  type: "Exact" | "RegularExpression";
  /** `package.Service`. */
  service?: string;
  method?: string;
}

export interface GrpcMatch {
  method?: GrpcMethodMatch;
  headers?: NamedMatch[];
}

export interface GrpcRule {
  name?: string;
  /** None: every call. */
  matches?: GrpcMatch[];
  filters?: RouteFilter[];
  backendRefs?: BackendRef[];
}

export interface GrpcRoute {
  kind: "GRPCRoute";
  meta: ObjectMeta;
  spec: { parentRefs?: ParentRef[]; hostnames?: string[]; rules: GrpcRule[] };
}
