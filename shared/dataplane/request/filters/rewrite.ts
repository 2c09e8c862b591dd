/** URLRewrite (Gateway API HTTPURLRewriteFilter). */
import type { RewriteFilter } from "../../../snapshot/schema.ts";
import { type MatchedPath, rewritePath } from "./path_rewrite.ts";

/** Where a request goes: Host header and path. */
export interface Rewritable {
  host: string;
  path: string;
}

/** Host and path after the filter; without a hostname the Host stays as the client sent it. */
export function rewriteRequest(
  filter: RewriteFilter,
  request: Rewritable,
  match: MatchedPath,
): Rewritable {
  return {
    host: filter.hostname ?? request.host,
    path: filter.path === undefined ? request.path : rewritePath(request.path, filter.path, match),
  };
}
