/**
 * Structural validation of resources: what a reader may rely on afterwards. Members that this
 * reader does not know stay (the digest covers them); a writer that needs them understood says so
 * in `requires`.
 */
import {
  asBoolean,
  asInteger,
  asList,
  asObject,
  asOneOf,
  asString,
  asText,
  type Fields,
  malformed,
  optional,
} from "./fields.ts";
import { RefusalError } from "./refusal.ts";
import type { Resource } from "./schema.ts";

const MAX_PORT = 65_535;
const MAX_WEIGHT = 1_000_000;
const MAX_RETRIES = 100;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * `value` as the resource `id`.
 * @param features names that this reader understands.
 * @throws {RefusalError} `content` or `requires`, and nothing else.
 */
export function decodeResource(
  id: string,
  value: unknown,
  features: ReadonlySet<string>,
): Resource {
  const fields = asObject(value, id);
  for (const name of optional(fields, "requires", (v) => asTexts(v, `${id}.requires`)) ?? []) {
    if (!features.has(name)) {
      throw new RefusalError("requires", `${id} needs feature "${name}", unknown here`);
    }
  }
  const kind = asOneOf(fields["kind"], `${id}.kind`, [
    "listener",
    "httproute",
    "grpcroute",
    "tcproute",
    "tlsroute",
    "udproute",
    "cluster",
    "upstream",
    "scope",
  ]);
  if (!id.startsWith(`${kind}/`)) throw malformed(id, `id does not fit kind ${kind}`);
  switch (kind) {
    case "listener":
      checkListener(fields, id);
      break;
    case "httproute":
    case "grpcroute":
      checkRoute(fields, id, checkRule);
      break;
    case "tcproute":
    case "tlsroute":
    case "udproute":
      checkRoute(fields, id, checkStreamRule);
      break;
    case "cluster":
      asText(fields["endpoints"], `${id}.endpoints`);
      asOneOf(fields["protocol"], `${id}.protocol`, ["http1", "h2c", "tcp", "udp"]);
      optional(fields, "tls", (v) => checkBackendTls(v, `${id}.tls`));
      break;
    case "upstream":
      optional(fields, "clientCertificate", (v) => asText(v, `${id}.clientCertificate`));
      optional(fields, "error", (v) => asText(v, `${id}.error`));
      break;
    case "scope":
      asText(fields["scope"], `${id}.scope`);
      asInteger(fields["minVersion"], `${id}.minVersion`);
      asBoolean(fields["tombstone"], `${id}.tombstone`);
      break;
    default:
      kind satisfies never;
  }
  return value as Resource;
}

function asTexts(value: unknown, path: string): string[] {
  return asList(value, path, asText);
}

function checkListener(fields: Fields, id: string): void {
  asText(fields["name"], `${id}.name`);
  asInteger(fields["port"], `${id}.port`, { min: 1, max: MAX_PORT });
  asOneOf(fields["protocol"], `${id}.protocol`, ["HTTP", "HTTPS", "TLS", "TCP", "UDP"]);
  asString(fields["hostname"], `${id}.hostname`);
  optional(fields, "certificates", (v) => asTexts(v, `${id}.certificates`));
  optional(fields, "passthrough", (v) => asBoolean(v, `${id}.passthrough`));
  optional(fields, "accessLog", (v) => asBoolean(v, `${id}.accessLog`));
  optional(fields, "maxBodyBytes", (v) => asInteger(v, `${id}.maxBodyBytes`, { min: 1 }));
  optional(fields, "clientValidation", (v) => {
    const validation = asObject(v, `${id}.clientValidation`);
    checkTrust(validation["trust"], `${id}.clientValidation.trust`);
    asOneOf(validation["mode"], `${id}.clientValidation.mode`, ["require", "request"]);
  });
}

/** No slots at all would be taken for everybody's authorities, or for none. */
function checkTrust(value: unknown, path: string): void {
  if (asTexts(value, path).length === 0) throw malformed(path, "must not be empty");
}

function checkBackendTls(value: unknown, path: string): void {
  const tls = asObject(value, path);
  checkHost(tls["serverName"], `${path}.serverName`);
  optional(tls, "trust", (v) => checkTrust(v, `${path}.trust`));
  optional(tls, "subjectAltNames", (v) => {
    const names = asList(v, `${path}.subjectAltNames`, (entry, at) => {
      const name = asObject(entry, at);
      asOneOf(name["type"], `${at}.type`, ["dns", "uri"]);
      asText(name["value"], `${at}.value`);
    });
    if (names.length === 0) throw malformed(`${path}.subjectAltNames`, "must not be empty");
  });
}

function checkRoute(
  fields: Fields,
  id: string,
  check: (rule: unknown, path: string) => void,
): void {
  asInteger(fields["created"], `${id}.created`);
  const listeners = asTexts(fields["listeners"], `${id}.listeners`);
  if (listeners.length === 0) throw malformed(`${id}.listeners`, "must not be empty");
  asTexts(fields["hostnames"], `${id}.hostnames`);
  asList(fields["rules"], `${id}.rules`, check);
}

function checkStreamRule(value: unknown, path: string): void {
  const rule = asObject(value, path);
  optional(rule, "name", (v) => asText(v, `${path}.name`));
  asList(rule["backends"], `${path}.backends`, checkBackend);
}

function checkRule(value: unknown, path: string): void {
  const rule = asObject(value, path);
  optional(rule, "name", (v) => asText(v, `${path}.name`));
  const matches = asList(rule["matches"], `${path}.matches`, checkMatch);
  if (matches.length === 0) throw malformed(`${path}.matches`, "must not be empty");
  asList(rule["filters"], `${path}.filters`, checkFilter);
  asList(rule["backends"], `${path}.backends`, checkBackend);
  optional(rule, "retry", (v) => checkRetry(v, `${path}.retry`));
  optional(rule, "timeouts", (v) => {
    const timeouts = asObject(v, `${path}.timeouts`);
    optional(timeouts, "request", (t) => asInteger(t, `${path}.timeouts.request`));
    optional(timeouts, "backendRequest", (t) => asInteger(t, `${path}.timeouts.backendRequest`));
  });
}

function checkRetry(value: unknown, path: string): void {
  const retry = asObject(value, path);
  asInteger(retry["attempts"], `${path}.attempts`, { max: MAX_RETRIES });
  asList(retry["codes"], `${path}.codes`, (v, at) => asInteger(v, at, { min: 400, max: 599 }));
  optional(retry, "backoff", (v) => asInteger(v, `${path}.backoff`));
}

function checkMatch(value: unknown, path: string): void {
  const match = asObject(value, path);
  const pathMatch = asObject(match["path"], `${path}.path`);
  asOneOf(pathMatch["type"], `${path}.path.type`, ["exact", "prefix"]);
  if (!asText(pathMatch["value"], `${path}.path.value`).startsWith("/")) {
    throw malformed(`${path}.path.value`, "must start with /");
  }
  optional(match, "method", (v) => asText(v, `${path}.method`));
  optional(match, "rpc", (v) => asText(v, `${path}.rpc`));
  optional(match, "headers", (v) => asList(v, `${path}.headers`, checkNamedValue));
  optional(match, "query", (v) => asList(v, `${path}.query`, checkNamedValue));
}

function checkNamedValue(value: unknown, path: string): void {
  const fields = asObject(value, path);
  asText(fields["name"], `${path}.name`);
  asString(fields["value"], `${path}.value`);
}

function checkBackend(value: unknown, path: string): void {
  const backend = asObject(value, path);
  asInteger(backend["weight"], `${path}.weight`, { max: MAX_WEIGHT });
  optional(backend, "cluster", (v) => asText(v, `${path}.cluster`));
  optional(backend, "error", (v) => asText(v, `${path}.error`));
  optional(backend, "filters", (v) => asList(v, `${path}.filters`, checkFilter));
}

function checkFilter(value: unknown, path: string): void {
  const filter = asObject(value, path);
  const form = asOneOf(filter["type"], `${path}.type`, [
    "requestHeaders",
    "responseHeaders",
    "redirect",
    "rewrite",
    "mirror",
    "cors",
  ]);
  switch (form) {
    case "requestHeaders":
    case "responseHeaders":
      optional(filter, "set", (v) => asList(v, `${path}.set`, checkSentHeader));
      optional(filter, "add", (v) => asList(v, `${path}.add`, checkSentHeader));
      optional(filter, "remove", (v) => asTexts(v, `${path}.remove`));
      break;
    case "redirect":
      optional(filter, "scheme", (v) => asOneOf(v, `${path}.scheme`, ["http", "https"]));
      optional(filter, "hostname", (v) => checkHost(v, `${path}.hostname`));
      optional(filter, "port", (v) => asInteger(v, `${path}.port`, { min: 1, max: MAX_PORT }));
      optional(filter, "path", (v) => checkPathRewrite(v, `${path}.path`));
      asInteger(filter["status"], `${path}.status`, { min: 300, max: 399 });
      break;
    case "rewrite":
      optional(filter, "hostname", (v) => checkHost(v, `${path}.hostname`));
      optional(filter, "path", (v) => checkPathRewrite(v, `${path}.path`));
      break;
    case "mirror":
      asText(filter["cluster"], `${path}.cluster`);
      optional(filter, "share", (v) => checkShare(v, `${path}.share`));
      break;
    case "cors":
      checkCors(filter, path);
      break;
    default:
      form satisfies never;
  }
}

function checkCors(filter: Fields, path: string): void {
  asList(filter["allowOrigins"], `${path}.allowOrigins`, checkOrigin);
  asBoolean(filter["allowCredentials"], `${path}.allowCredentials`);
  for (const name of ["allowMethods", "allowHeaders", "exposeHeaders"]) {
    asList(filter[name], `${path}.${name}`, checkToken);
  }
  asInteger(filter["maxAge"], `${path}.maxAge`);
}

function checkOrigin(value: unknown, path: string): void {
  if (!/^(\*|https?:\/\/(\*|(\*\.)?[-.0-9a-z]+)(:[0-9]{1,5})?)$/.test(asText(value, path))) {
    throw malformed(path, "is not an origin");
  }
}

/** RFC 9110 §5.6.2: a method or a header name; `*` is one too. */
function checkToken(value: unknown, path: string): void {
  if (!TOKEN.test(asText(value, path))) throw malformed(path, "is not a token");
}

function checkShare(value: unknown, path: string): void {
  const share = asObject(value, path);
  const max = asInteger(share["denominator"], `${path}.denominator`, { min: 1 });
  asInteger(share["numerator"], `${path}.numerator`, { max });
}

function checkPathRewrite(value: unknown, path: string): void {
  const rewrite = asObject(value, path);
  asOneOf(rewrite["type"], `${path}.type`, ["full", "prefix"]);
  if (!/^[!-~]*$/.test(asString(rewrite["value"], `${path}.value`))) {
    throw malformed(`${path}.value`, "must be visible ASCII: it becomes part of a request line");
  }
}

/**
 * A header that is written into messages. Only what RFC 9110 §5.5 recommends: a control character
 * would end its line, and a code above 255 is cut to a byte that may be one.
 */
function checkSentHeader(value: unknown, path: string): void {
  checkNamedValue(value, path);
  const { name, value: text } = asObject(value, path);
  if (!TOKEN.test(String(name))) {
    throw malformed(`${path}.name`, "is not a header name");
  }
  if (!/^[\t\x20-\x7e]*$/.test(String(text))) {
    throw malformed(`${path}.value`, "has a character that a header must not have");
  }
}

/** A host name that is written into messages. */
function checkHost(value: unknown, path: string): void {
  if (!/^[-.0-9a-z]+$/.test(asText(value, path))) throw malformed(path, "is not a host name");
}
