/**
 * Can every part of a rule be served? One that cannot is dropped whole, with the field's name: a
 * rule that does half of what it says is worse than one that says why not.
 */
import type {
  CorsSpec,
  HeaderModifierSpec,
  NamedMatch,
  PathModifier,
  Route,
  RouteFilter,
  RouteMatch,
  RouteRule,
} from "../model/objects.ts";
import type { GrpcMatch, GrpcRule } from "../model/grpc_objects.ts";
import { OK, type Outcome, refuse, type RouteAcceptedReason } from "./outcome.ts";

type Verdict = Outcome<RouteAcceptedReason>;

/** Each rule's verdict, in the order of the spec. */
export function decideContent(route: Route): Verdict[] {
  switch (route.kind) {
    case "HTTPRoute":
      return route.spec.rules.map((rule, index) => decideRule(rule, `spec.rules[${index}]`));
    case "GRPCRoute":
      return route.spec.rules.map((rule, index) => decideGrpcRule(rule, `spec.rules[${index}]`));
    case "TCPRoute":
    case "TLSRoute":
    case "UDPRoute":
      return route.spec.rules.map(() => OK);
  }
}

/** The schema has no bound, but a retry multiplies what a failing backend has to bear. */
const MAX_RETRIES = 100;

function decideRule(rule: RouteRule, field: string): Verdict {
  if (rule.retry !== undefined && rule.retry.attempts > MAX_RETRIES) {
    const { attempts } = rule.retry;
    return unsupported(`${field}.retry.attempts`, `${attempts} is more than ${MAX_RETRIES}`);
  }
  for (const [index, match] of rule.matches.entries()) {
    const verdict = decideMatch(match, `${field}.matches[${index}]`);
    if (!verdict.ok) return verdict;
  }
  return decideRuleFilters(rule, field);
}

function decideGrpcRule(rule: GrpcRule, field: string): Verdict {
  for (const [index, match] of (rule.matches ?? []).entries()) {
    const verdict = decideGrpcMatch(match, `${field}.matches[${index}]`);
    if (!verdict.ok) return verdict;
  }
  return decideRuleFilters(rule, field);
}

/** The filters of a rule and of its backends. */
function decideRuleFilters(
  rule: Pick<RouteRule, "filters" | "backendRefs">,
  field: string,
): Verdict {
  const verdict = decideFilters(rule.filters ?? [], { field: `${field}.filters`, backend: false });
  if (!verdict.ok) return verdict;
  for (const [index, backend] of (rule.backendRefs ?? []).entries()) {
    const place = `${field}.backendRefs[${index}].filters`;
    const verdict = decideFilters(backend.filters ?? [], { field: place, backend: true });
    if (!verdict.ok) return verdict;
    const both = bothChange(rule.filters ?? [], backend.filters ?? []);
    if (both !== undefined) {
      return refuse(
        "IncompatibleFilters",
        `${place}: ${both} by the rule too; keep one of them`,
      );
    }
  }
  return OK;
}

/** What a rule and its backend both say, of things that can be said once. */
function bothChange(rule: readonly RouteFilter[], backend: readonly RouteFilter[]) {
  const cors = ({ type }: RouteFilter) => type === "CORS";
  if (rule.some(cors) && backend.some(cors)) return "CORS is set";
  const outer = rule.find((filter) => filter.urlRewrite !== undefined)?.urlRewrite;
  const inner = backend.find((filter) => filter.urlRewrite !== undefined)?.urlRewrite;
  if (outer === undefined || inner === undefined) return undefined;
  if (outer.path !== undefined && inner.path !== undefined) return "the path is set";
  return outer.hostname !== undefined && inner.hostname !== undefined
    ? "the hostname is set"
    : undefined;
}

const NO_REGEX = "RegularExpression is not supported; use";

function decideMatch(match: RouteMatch, field: string): Verdict {
  if (match.path.type === "RegularExpression") {
    return unsupported(`${field}.path.type`, `${NO_REGEX} PathPrefix or Exact`);
  }
  const headers = decideHeaders(match.headers, field);
  if (!headers.ok) return headers;
  const query = (match.queryParams ?? []).findIndex((entry) => entry.type === "RegularExpression");
  if (query >= 0) return unsupported(`${field}.queryParams[${query}].type`, `${NO_REGEX} Exact`);
  return OK;
}

function decideGrpcMatch(match: GrpcMatch, field: string): Verdict {
  if (match.method?.type === "RegularExpression") {
    return unsupported(`${field}.method.type`, `${NO_REGEX} Exact`);
  }
  return decideHeaders(match.headers, field);
}

function decideHeaders(headers: readonly NamedMatch[] | undefined, field: string): Verdict {
  const index = (headers ?? []).findIndex((entry) => entry.type === "RegularExpression");
  return index < 0 ? OK : unsupported(`${field}.headers[${index}].type`, `${NO_REGEX} Exact`);
}

interface FilterPlace {
  field: string;
  /** On a backendRef rather than a rule. */
  backend: boolean;
}

function decideFilters(filters: readonly RouteFilter[], place: FilterPlace): Verdict {
  for (const [index, filter] of filters.entries()) {
    const verdict = decideFilter(filter, { ...place, field: `${place.field}[${index}]` });
    if (!verdict.ok) return verdict;
  }
  return OK;
}

function decideFilter(filter: RouteFilter, { field, backend }: FilterPlace): Verdict {
  switch (filter.type) {
    case "RequestHeaderModifier":
      return headerVerdict(filter.requestHeaderModifier, `${field}.requestHeaderModifier`);
    case "ResponseHeaderModifier":
      return headerVerdict(filter.responseHeaderModifier, `${field}.responseHeaderModifier`);
    case "RequestRedirect":
      if (backend) {
        return unsupported(field, "RequestRedirect is not supported on a backendRef; use the rule");
      }
      return pathVerdict(filter.requestRedirect?.path, `${field}.requestRedirect.path`);
    case "URLRewrite":
      return pathVerdict(filter.urlRewrite?.path, `${field}.urlRewrite.path`);
    case "RequestMirror":
      // Where it goes is a reference like any other: attach/backends.ts, told by ResolvedRefs.
      return OK;
    case "CORS":
      return corsVerdict(filter.cors, `${field}.cors`);
    case "ExtensionRef": {
      const ref = filter.extensionRef;
      const what = `${ref?.kind} of group "${ref?.group}"`;
      return unsupported(`${field}.extensionRef`, `${what} is not supported; remove the filter`);
    }
  }
}

/** Headers that frame a message or name its target: changing them breaks the next hop's parsing. */
const RESERVED = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function headerVerdict(modifier: HeaderModifierSpec | undefined, field: string): Verdict {
  for (const list of ["set", "add"] as const) {
    for (const [index, { name, value }] of (modifier?.[list] ?? []).entries()) {
      const place = `${field}.${list}[${index}]`;
      if (RESERVED.has(name.toLowerCase())) {
        return unsupported(`${place}.name`, `header ${name} belongs to the connection`);
      }
      if (!isFieldValue(value)) {
        return unsupported(`${place}.value`, "has a character that a header must not have");
      }
    }
  }
  const index = (modifier?.remove ?? []).findIndex((name) => RESERVED.has(name.toLowerCase()));
  return index < 0
    ? OK
    : unsupported(`${field}.remove[${index}]`, "this header belongs to the connection");
}

/** The schema knows the form of an origin, but not that a port ends at 65535. */
function corsVerdict(cors: CorsSpec | undefined, field: string): Verdict {
  for (const [index, origin] of (cors?.allowOrigins ?? []).entries()) {
    const port = /:([0-9]+)$/.exec(origin)?.[1];
    if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) {
      return unsupported(`${field}.allowOrigins[${index}]`, `port ${port} is not from 1 to 65535`);
    }
  }
  return OK;
}

/** RFC 9110 §5.5, without obs-text: visible ASCII, space and tab. */
function isFieldValue(value: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}

function pathVerdict(modifier: PathModifier | undefined, field: string): Verdict {
  if (modifier === undefined) return OK;
  const value = modifier.replaceFullPath ?? modifier.replacePrefixMatch ?? "";
  if (!/^[!-~]*$/.test(value) || /[?#\\]/.test(value)) {
    return unsupported(field, `"${value}" is not a path; percent-encode its special characters`);
  }
  return OK;
}

function unsupported(field: string, message: string): Verdict {
  return refuse("UnsupportedValue", `${field}: ${message}`);
}
