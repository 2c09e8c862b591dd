/** HTTPRoute, as its schema admitted it. */
import type {
  BackendRef,
  HttpRoute,
  NamedMatch,
  ParentRef,
  RetrySpec,
  RouteMatch,
  RouteRule,
} from "../../model/objects.ts";
import { integer, list, object, oneOf, optional, required, string } from "./decoder.ts";
import * as format from "./formats.ts";
import { filters } from "./http_filters.ts";

const text = string();
const port = integer(1, 65535);

export const parentRef = object<ParentRef>({
  group: required(text),
  kind: required(text),
  name: required(text),
  namespace: optional(text),
  sectionName: optional(text),
  port: optional(port),
});

export const namedMatches = list(object<NamedMatch>({
  name: required(text),
  type: required(oneOf("Exact", "RegularExpression")),
  value: required(text),
}));

const match = object<RouteMatch>({
  path: required(object<RouteMatch["path"]>({
    type: required(oneOf("Exact", "PathPrefix", "RegularExpression")),
    value: required(text),
  })),
  method: optional(text),
  headers: optional(namedMatches),
  queryParams: optional(namedMatches),
});

export const backendRef = object<BackendRef>({
  group: required(text),
  kind: required(text),
  name: required(text),
  namespace: optional(text),
  port: optional(port),
  weight: required(integer(0, 1_000_000)),
  filters: optional(filters),
});

const rule = object<RouteRule>({
  name: optional(text),
  matches: required(list(match)),
  filters: optional(filters),
  backendRefs: optional(list(backendRef)),
  timeouts: optional(object<NonNullable<RouteRule["timeouts"]>>({
    request: optional(format.duration),
    backendRequest: optional(format.duration),
  })),
  retry: optional(object<RetrySpec>({
    codes: optional(list(integer(400, 599))),
    attempts: required(integer(0, Number.MAX_SAFE_INTEGER)),
    backoff: optional(format.duration),
  })),
});

export const httpRouteSpec = object<HttpRoute["spec"]>({
  parentRefs: optional(list(parentRef)),
  hostnames: optional(list(format.hostname)),
  rules: required(list(rule)),
});
