/** HTTPRoute, with the CEL rules of its v1.7.0 CRD. */
import { GATEWAY_GROUP } from "../../model/objects.ts";
import type {
  BackendRef,
  HttpRoute,
  NamedMatch,
  ParentRef,
  RouteFilter,
  RouteMatch,
  RouteRule,
} from "../../model/objects.ts";
import {
  anyJson,
  type At,
  below,
  check,
  defaulted,
  fail,
  integer,
  list,
  object,
  oneOf,
  optional,
  required,
  string,
} from "./decoder.ts";
import * as format from "./formats.ts";
import { filters } from "./http_filters.ts";

const parentRef = object<ParentRef>({
  group: defaulted(format.group, () => GATEWAY_GROUP),
  kind: defaulted(format.kind, () => "Gateway"),
  name: required(format.objectName),
  namespace: optional(format.namespaceName),
  sectionName: optional(format.sectionName),
  port: optional(integer(1, 65535)),
});

const parentRefs = check(list(parentRef, { max: 32 }), (refs, at) => {
  const parents = new Map<string, ParentRef[]>();
  refs.forEach((ref, index) => {
    const parent = [ref.group, ref.kind, ref.namespace ?? "", ref.name].join("/");
    const others = parents.get(parent) ?? [];
    const same = others.some((other) => ref.sectionName === other.sectionName);
    if (
      others.some((other) => (ref.sectionName ?? "") === "" !== ((other.sectionName ?? "") === ""))
    ) {
      fail(below(at, index), `sectionName must be given in every reference to ${ref.name}`);
    } else if (same) {
      fail(below(at, index), `${ref.name} is referenced twice; sectionName must differ`);
    }
    parents.set(parent, [...others, ref]);
  });
});

const PATH_CHARACTERS = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/;
const FORBIDDEN_IN_PATH = ["//", "/./", "/../", "%2f", "%2F", "#"];

const path = check(
  object<RouteMatch["path"]>({
    type: defaulted(oneOf("Exact", "PathPrefix", "RegularExpression"), () => "PathPrefix"),
    value: defaulted(string({ max: 1024 }), () => "/"),
  }),
  (value, at) => {
    if (value.type === "RegularExpression") return;
    const place = below(at, "value");
    const text = value.value;
    if (!text.startsWith("/")) return void fail(place, `path "${text}" must start with "/"`);
    for (const part of FORBIDDEN_IN_PATH) {
      if (text.includes(part)) return void fail(place, `path "${text}" must not contain "${part}"`);
    }
    for (const end of ["/..", "/."]) {
      if (text.endsWith(end)) return void fail(place, `path "${text}" must not end with "${end}"`);
    }
    if (!PATH_CHARACTERS.test(text)) {
      fail(place, `path "${text}" has a character that must be percent-encoded`);
    }
  },
);

function namedMatches(maxLength: number) {
  return list(
    object<NamedMatch>({
      name: required(format.headerName),
      type: defaulted(oneOf("Exact", "RegularExpression"), () => "Exact"),
      value: required(string({ min: 1, max: maxLength })),
    }),
    { max: 16, unique: { by: (match) => match.name, what: "name" } },
  );
}

const match = object<RouteMatch>({
  path: defaulted(path, () => ({ type: "PathPrefix", value: "/" })),
  method: optional(
    oneOf("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
  ),
  headers: optional(namedMatches(4096)),
  queryParams: optional(namedMatches(1024)),
});

const backendRef = check(
  object<BackendRef>({
    group: defaulted(format.group, () => ""),
    kind: defaulted(format.kind, () => "Service"),
    name: required(format.objectName),
    namespace: optional(format.namespaceName),
    port: optional(integer(1, 65535)),
    weight: defaulted(integer(0, 1_000_000), () => 1),
    filters: optional(filters),
  }),
  (value, at) => {
    if (value.group === "" && value.kind === "Service" && value.port === undefined) {
      fail(at, `"port" must be given for Service "${value.name}"`);
    }
  },
);

const timeouts = check(
  object<NonNullable<RouteRule["timeouts"]>>({
    request: optional(format.duration),
    backendRequest: optional(format.duration),
  }),
  ({ request, backendRequest }, at) => {
    if (request !== undefined && request !== 0 && (backendRequest ?? 0) > request) {
      fail(below(at, "backendRequest"), "backendRequest must not be longer than request");
    }
  },
);

const rule = check(
  object<RouteRule>({
    name: optional(format.sectionName),
    matches: defaulted(list(match, { max: 64 }), defaultMatches),
    filters: optional(filters),
    backendRefs: optional(list(backendRef, { max: 16 })),
    timeouts: optional(timeouts),
    retry: optional(anyJson),
  }),
  ruleRules,
);

function defaultMatches(): RouteMatch[] {
  return [{ path: { type: "PathPrefix", value: "/" } }];
}

function replacesPrefix(list: readonly RouteFilter[] | undefined): boolean {
  return (list ?? []).some((filter) =>
    filter.requestRedirect?.path?.type === "ReplacePrefixMatch" ||
    filter.urlRewrite?.path?.type === "ReplacePrefixMatch"
  );
}

function ruleRules(value: RouteRule, at: At): void {
  const backends = value.backendRefs ?? [];
  const redirect = (value.filters ?? []).findIndex((entry) => entry.type === "RequestRedirect");
  if (redirect >= 0 && backends.length > 0) {
    fail(
      below(at, "filters", redirect),
      "RequestRedirect must not be used together with backendRefs",
    );
  }
  const prefix = replacesPrefix(value.filters) || backends.some((b) => replacesPrefix(b.filters));
  if (prefix && (value.matches.length !== 1 || value.matches[0]?.path.type !== "PathPrefix")) {
    fail(below(at, "matches"), "ReplacePrefixMatch needs exactly one match, of type PathPrefix");
  }
}

const rules = check(list(rule, { min: 1, max: 16 }), (value, at) => {
  const names = new Set<string>();
  let matches = 0;
  value.forEach((entry, index) => {
    matches += entry.matches.length;
    if (entry.name === undefined) return;
    if (names.has(entry.name)) {
      fail(below(at, index, "name"), `rule name "${entry.name}" is there twice`);
    }
    names.add(entry.name);
  });
  if (matches > 128) fail(at, `the rules have ${matches} matches in all, at most 128 fit`);
});

export const httpRouteSpec = object<HttpRoute["spec"]>({
  parentRefs: optional(parentRefs),
  hostnames: optional(list(format.hostname, { max: 16 })),
  rules: defaulted(rules, () => [{ matches: defaultMatches() }]),
});
