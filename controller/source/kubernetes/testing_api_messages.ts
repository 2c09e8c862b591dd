/** What the API server of tests answers with, and how it reads paths. */
import { asRecord } from "../decode/decoder.ts";

/** How one request fails. */
export type Failure =
  | { kind: "status"; code: number; reason?: string; retryAfter?: number; message?: string }
  /** The answer breaks off in the middle of a line, after so many events. */
  | { kind: "cut"; after: number }
  /** The answer ends as if it were over. */
  | { kind: "close" };

/** What a path names; members that it does not name are empty. */
export interface Address {
  /** `<group>/<plural>`. */
  collection: string;
  version: string;
  namespace: string;
  name: string;
  subresource: string;
}

export const JSON_BODY = { "content-type": "application/json" };

/** RFC 7396. */
export function merged(target: unknown, patch: unknown): unknown {
  const changes = asRecord(patch);
  if (changes === undefined) return patch;
  const result: Record<string, unknown> = { ...asRecord(target) };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

export function bookmark(version: number, { last }: { last: boolean }) {
  return {
    type: "BOOKMARK",
    object: {
      metadata: {
        resourceVersion: String(version),
        ...(last ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
      },
    },
  };
}

export function addressOf(path: string): Address | undefined {
  const match =
    /^\/(?:api|apis\/([^/]+))\/(v[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/
      .exec(path);
  if (match === null) return undefined;
  const [, group = "", version = "", namespace = "", plural = "", name = "", subresource = ""] =
    match;
  return { collection: `${group}/${plural}`, version, namespace, name, subresource };
}

export function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: JSON_BODY });
}

export function refusal(
  { code, reason = "", retryAfter, message = "by order" }: Extract<Failure, { kind: "status" }>,
): Response {
  return new Response(JSON.stringify({ kind: "Status", code, reason, message }), {
    status: code,
    headers: {
      ...JSON_BODY,
      ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
    },
  });
}
