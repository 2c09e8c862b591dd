/** Authority and target of a request on the native engine, out of the URL that it shows. */

/** Where a request is addressed to. */
export interface Addressed {
  /** As received, port included. */
  authority: string;
  /** Origin form, or `*`. */
  target: string;
}

/**
 * Takes the engine's `http://authority/target` apart without normalising anything.
 *
 * The URL of an origin-form request is the Host header put in front of the target, so the split is
 * known exactly; otherwise the request was in absolute form, whose authority outranks Host
 * (RFC 9112 §3.2.2).
 *
 * @param host the Host header, or undefined when there was none (HTTP/2, or a broken client)
 */
export function addressOf(method: string, url: string, host: string | undefined): Addressed {
  const start = url.indexOf("://") + 3;
  let split = host !== undefined && url.startsWith(host, start) ? start + host.length : -1;
  if (split !== -1 && split < url.length && url.charCodeAt(split) !== 47) split = -1;
  if (split === -1) {
    split = start;
    while (split < url.length) {
      const code = url.charCodeAt(split);
      if (code === 47 || code === 63 || code === 35) break;
      split++;
    }
  }
  let target = url.slice(split);
  if (target === "" || target.charCodeAt(0) !== 47) target = `/${target}`;
  // The engine shows `OPTIONS *` like a path.
  if (method === "OPTIONS" && target === "/*") target = "*";
  return { authority: url.slice(start, split), target };
}

/**
 * The authorities that the engine makes up for a request without Host: a request that names one of
 * these without a Host header had none (RFC 9112 §3.2: 400). An HTTP/2 client that addresses the
 * fleet's own address by it is refused too, since the engine shows no difference.
 */
export function madeUpAuthorities(local: Deno.NetAddr): ReadonlySet<string> {
  const host = local.hostname.includes(":") ? `[${local.hostname}]` : local.hostname;
  return new Set([
    `localhost:${local.port}`,
    `${host}:${local.port}`,
    `0.0.0.0:${local.port}`,
    "localhost",
    host,
    "",
  ]);
}
