/** Hostname rules of the Gateway API: exact names, `*.` wildcards of any depth, empty = every host. */

/** Does a hostname (exact, wildcard or empty) cover an exact host? Both lower-case. */
export function hostnameCovers(hostname: string, host: string): boolean {
  if (hostname === "") return true;
  if (!hostname.startsWith("*.")) return hostname === host;
  const suffix = hostname.slice(1);
  return host.length > suffix.length && host.endsWith(suffix);
}

/**
 * The hosts that two hostnames have in common, as a hostname; undefined when there are none.
 * `*.example.com` and `www.example.com` → `www.example.com`; `*.a.com` and `*.b.a.com` →
 * `*.b.a.com`; `*.a.com` and `a.com` → none.
 */
export function intersectHostnames(a: string, b: string): string | undefined {
  if (a === "" || a === b) return b;
  if (b === "") return a;
  const aWild = a.startsWith("*.");
  const bWild = b.startsWith("*.");
  if (!aWild && !bWild) return undefined;
  if (!aWild) return hostnameCovers(b, a) ? a : undefined;
  if (!bWild) return hostnameCovers(a, b) ? b : undefined;
  if (a.length < b.length) return b.endsWith(a.slice(1)) ? b : undefined;
  return a.endsWith(b.slice(1)) ? a : undefined;
}

/** Have two hostnames a host in common? */
export function hostnamesIntersect(a: string, b: string): boolean {
  return intersectHostnames(a, b) !== undefined;
}
