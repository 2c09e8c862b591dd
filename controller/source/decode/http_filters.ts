/** The filters of an HTTPRoute rule or backendRef, as the schema admitted them. */
import type {
  BackendTarget,
  CorsSpec,
  HeaderModifierSpec,
  HeaderPair,
  MirrorSpec,
  PathModifier,
  RedirectSpec,
  RewriteSpec,
  RouteFilter,
} from "../../model/objects.ts";
import {
  boolean,
  type Decoder,
  integer,
  list,
  object,
  oneOf,
  optional,
  required,
  string,
} from "./decoder.ts";

const text = string();

const headerPairs = list(object<HeaderPair>({ name: required(text), value: required(text) }));
const headerModifier = object<HeaderModifierSpec>({
  set: optional(headerPairs),
  add: optional(headerPairs),
  remove: optional(list(text)),
});

const pathModifier = object<PathModifier>({
  type: required(oneOf("ReplaceFullPath", "ReplacePrefixMatch")),
  replaceFullPath: optional(text),
  replacePrefixMatch: optional(text),
});

const redirect = object<RedirectSpec>({
  scheme: optional(oneOf("http", "https")),
  hostname: optional(text),
  path: optional(pathModifier),
  port: optional(integer(1, 65535)),
  statusCode: required(integer(300, 399)),
});

const rewrite = object<RewriteSpec>({
  hostname: optional(text),
  path: optional(pathModifier),
});

const INT32 = 2_147_483_647;

const mirror = object<MirrorSpec>({
  backendRef: required(object<BackendTarget>({
    group: required(text),
    kind: required(text),
    name: required(text),
    namespace: optional(text),
    port: optional(integer(1, 65535)),
  })),
  percent: optional(integer(0, 100)),
  fraction: optional(object<NonNullable<MirrorSpec["fraction"]>>({
    numerator: required(integer(0, INT32)),
    denominator: required(integer(1, INT32)),
  })),
});

const cors = object<CorsSpec>({
  allowOrigins: optional(list(text)),
  allowCredentials: optional(boolean),
  allowMethods: optional(list(text)),
  allowHeaders: optional(list(text)),
  exposeHeaders: optional(list(text)),
  maxAge: required(integer(1, INT32)),
});

export const filters: Decoder<RouteFilter[]> = list(object<RouteFilter>({
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
  requestMirror: optional(mirror),
  extensionRef: optional(object<NonNullable<RouteFilter["extensionRef"]>>({
    group: required(text),
    kind: required(text),
    name: required(text),
  })),
  cors: optional(cors),
}));
