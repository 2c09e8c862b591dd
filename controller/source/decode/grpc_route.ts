/** GRPCRoute, as its schema admitted it. */
import type { GrpcMatch, GrpcMethodMatch, GrpcRoute, GrpcRule } from "../../model/grpc_objects.ts";
import { defaulted, list, object, oneOf, optional, required, string } from "./decoder.ts";
import * as format from "./formats.ts";
import { filters } from "./http_filters.ts";
import { backendRef, namedMatches, parentRef } from "./http_route.ts";

const text = string();

const match = object<GrpcMatch>({
  method: optional(object<GrpcMethodMatch>({
    type: required(oneOf("Exact", "RegularExpression")),
    service: optional(text),
    method: optional(text),
  })),
  headers: optional(namedMatches),
});

const rule = object<GrpcRule>({
  name: optional(text),
  matches: optional(list(match)),
  filters: optional(filters),
  backendRefs: optional(list(backendRef)),
});

export const grpcRouteSpec = object<GrpcRoute["spec"]>({
  parentRefs: optional(list(parentRef)),
  hostnames: optional(list(format.hostname)),
  rules: defaulted(list(rule), () => []),
});
