/** The filters of an HTTPRoute rule or backendRef, with the CEL rules of the v1.7.0 CRD. */
import type {
  FilterType,
  HeaderModifierSpec,
  HeaderPair,
  PathModifier,
  RedirectSpec,
  RewriteSpec,
  RouteFilter,
} from "../../model/objects.ts";
import {
  anyJson,
  type At,
  below,
  check,
  type Decoder,
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

const headerPair = object<HeaderPair>({
  name: required(format.headerName),
  value: required(string({ min: 1, max: 4096 })),
});
const headerPairs = list(headerPair, { max: 16, unique: { by: (h) => h.name, what: "header" } });
const headerModifier = object<HeaderModifierSpec>({
  set: optional(headerPairs),
  add: optional(headerPairs),
  remove: optional(list(string(), { max: 16, unique: { by: (n) => n, what: "header" } })),
});

const pathModifier = check(
  object<PathModifier>({
    type: required(oneOf("ReplaceFullPath", "ReplacePrefixMatch")),
    replaceFullPath: optional(string({ max: 1024 })),
    replacePrefixMatch: optional(string({ max: 1024 })),
  }),
  (value, at) => {
    const wanted = value.type === "ReplaceFullPath" ? "replaceFullPath" : "replacePrefixMatch";
    const other = value.type === "ReplaceFullPath" ? "replacePrefixMatch" : "replaceFullPath";
    if (value[wanted] === undefined) fail(at, `${wanted} must be given when type is ${value.type}`);
    if (value[other] !== undefined) {
      fail(below(at, other), `${other} must not be given when type is ${value.type}`);
    }
  },
);

const redirect = object<RedirectSpec>({
  scheme: optional(oneOf("http", "https")),
  hostname: optional(format.preciseHostname),
  path: optional(pathModifier),
  port: optional(integer(1, 65535)),
  statusCode: defaulted(oneOf(301, 302, 303, 307, 308), () => 302),
});

const rewrite = object<RewriteSpec>({
  hostname: optional(format.preciseHostname),
  path: optional(pathModifier),
});

const MEMBER: Record<FilterType, Exclude<keyof RouteFilter, "type">> = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  ExtensionRef: "extensionRef",
  CORS: "cors",
};

const filter = check(
  object<RouteFilter>({
    type: required(
      oneOf(
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
      ),
    ),
    requestHeaderModifier: optional(headerModifier),
    responseHeaderModifier: optional(headerModifier),
    requestRedirect: optional(redirect),
    urlRewrite: optional(rewrite),
    requestMirror: optional(anyJson),
    extensionRef: optional(object<NonNullable<RouteFilter["extensionRef"]>>({
      group: required(format.group),
      kind: required(format.kind),
      name: required(format.objectName),
    })),
    cors: optional(anyJson),
  }),
  (value, at) => {
    const wanted = MEMBER[value.type];
    if (value[wanted] === undefined) fail(at, `${wanted} must be given when type is ${value.type}`);
    for (const member of Object.values(MEMBER)) {
      if (member !== wanted && value[member] !== undefined) {
        fail(below(at, member), `${member} must not be given when type is ${value.type}`);
      }
    }
  },
);

const ONCE: FilterType[] = [
  "RequestHeaderModifier",
  "ResponseHeaderModifier",
  "RequestRedirect",
  "URLRewrite",
  "CORS",
];

export const filters: Decoder<RouteFilter[]> = check(list(filter, { max: 16 }), filterSetRules);

function filterSetRules(value: RouteFilter[], at: At): void {
  const types = value.map((entry) => entry.type);
  if (types.includes("RequestRedirect") && types.includes("URLRewrite")) {
    fail(at, "RequestRedirect and URLRewrite must not be used together");
  }
  for (const type of ONCE) {
    if (types.indexOf(type) !== types.lastIndexOf(type)) {
      fail(below(at, types.lastIndexOf(type)), `filter ${type} must not be repeated`);
    }
  }
}
