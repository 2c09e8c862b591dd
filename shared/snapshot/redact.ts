/**
 * What may be shown of a snapshot: header values that a filter sets and whose name says that they
 * are credentials are replaced. Everything else in a snapshot is configuration, not secret.
 */
import type { HeaderValue, HttpFilter, HttpRule, Resource, Resources } from "./schema.ts";

/** Header names, lower-case, whose values are never shown. */
const SENSITIVE: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "x-auth-token",
  "x-csrf-token",
]);
const REDACTED = "[redacted]";

/** A copy that may be shown, as plain data in order of the ids. */
export function redactResources(resources: Resources): Record<string, Resource> {
  const ids = [...resources.keys()].sort();
  return Object.fromEntries(ids.map((id) => [id, redact(resources.get(id) as Resource)]));
}

function redact(resource: Resource): Resource {
  return resource.kind === "httproute" || resource.kind === "grpcroute"
    ? { ...resource, rules: resource.rules.map(redactRule) }
    : resource;
}

function redactRule(rule: HttpRule): HttpRule {
  return {
    ...rule,
    filters: rule.filters.map(redactFilter),
    backends: rule.backends.map((backend) =>
      backend.filters === undefined
        ? backend
        : { ...backend, filters: backend.filters.map(redactFilter) }
    ),
  };
}

function redactFilter(filter: HttpFilter): HttpFilter {
  switch (filter.type) {
    case "requestHeaders":
    case "responseHeaders":
      return {
        ...filter,
        ...(filter.set === undefined ? {} : { set: filter.set.map(redactHeader) }),
        ...(filter.add === undefined ? {} : { add: filter.add.map(redactHeader) }),
      };
    case "redirect":
    case "rewrite":
    case "mirror":
    case "cors":
      return filter;
  }
}

function redactHeader({ name, value }: HeaderValue): HeaderValue {
  return { name, value: SENSITIVE.has(name.toLowerCase()) ? REDACTED : value };
}
