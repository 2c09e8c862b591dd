/** HTTPPathModifier: full path or matched prefix, shared by rewrite and redirect. */
import type { PathRewrite } from "../../../snapshot/schema.ts";

/** The match that chose the route: prefixes are replaced relative to it. */
export interface MatchedPath {
  pathType: "exact" | "prefix";
  path: string;
}

/**
 * The new path; the query is not its business.
 *
 * Prefixes are replaced by element: `/foo` → `/xyz` turns `/foo/bar` into `/xyz/bar`, and neither a
 * trailing slash of either nor an empty replacement leaves a double slash or an empty path
 * (HTTPPathModifier.replacePrefixMatch).
 */
export function rewritePath(path: string, rewrite: PathRewrite, match: MatchedPath): string {
  switch (rewrite.type) {
    case "full":
      return rooted(rewrite.value);
    case "prefix": {
      const prefix = withoutSlash(match.path);
      const rest = match.pathType === "exact" ? "" : path.slice(prefix.length);
      return rooted(withoutSlash(rewrite.value) + rest);
    }
  }
}

function withoutSlash(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}
