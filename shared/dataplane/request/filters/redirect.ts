/** RequestRedirect (Gateway API HTTPRequestRedirectFilter). */
import type { RedirectFilter } from "../../../snapshot/schema.ts";
import { type MatchedPath, rewritePath } from "./path_rewrite.ts";

/** What a redirect reads of the request. */
export interface RedirectInput {
  scheme: "http" | "https";
  /** Lower-case, without port. */
  host: string;
  /** Declared port of the listener. */
  port: number;
  path: string;
  /** Without `?`. */
  query: string;
  match: MatchedPath;
}

/**
 * The Location of a redirect. Port: the filter's; else the well-known port of a scheme that the
 * filter names; else the listener's declared port. It is left out when it is the scheme's own.
 */
export function redirectLocation(filter: RedirectFilter, input: RedirectInput): string {
  const scheme = filter.scheme ?? input.scheme;
  const wellKnown = scheme === "https" ? 443 : 80;
  const port = filter.port ?? (filter.scheme === undefined ? input.port : wellKnown);
  const host = filter.hostname ?? input.host;
  const path = filter.path === undefined
    ? input.path
    : rewritePath(input.path, filter.path, input.match);
  const authority = port === wellKnown ? host : `${host}:${port}`;
  return `${scheme}://${authority}${path}${input.query === "" ? "" : `?${input.query}`}`;
}
