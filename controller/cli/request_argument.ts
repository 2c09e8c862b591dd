/** The request that `lgw explain` is asked about. */
import type { RouteRequest } from "../../shared/dataplane/table/types.ts";

export interface AskedRequest {
  request: RouteRequest;
  scheme: "http" | "https";
  /** Declared port of the Gateway. */
  port: number;
}

export interface RequestOptions {
  method: string;
  /** `Name: value`, as curl takes them. */
  header: readonly string[];
}

/**
 * Reads a URL and curl-like options. The port is the Gateway's declared one: 80 for http and 443
 * for https unless the URL names another. Throws a `TypeError` that says what is wrong.
 */
export function parseRequest(url: string, options: RequestOptions): AskedRequest {
  const match = /^(https?):\/\/([^/?#:]+)(?::(\d+))?([^?#]*)(?:\?([^#]*))?$/i.exec(url);
  if (match === null) {
    throw new TypeError(`${url}: expected a URL such as http://shop.example.com/cart?x=1`);
  }
  const scheme = (match[1] as string).toLowerCase() === "https" ? "https" : "http";
  const headers: string[] = [];
  let host = (match[2] as string).toLowerCase();
  for (const line of options.header) {
    const colon = line.indexOf(":");
    if (colon < 1) throw new TypeError(`-H ${line}: expected Name: value`);
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "host") host = value.replace(/:\d+$/, "").toLowerCase();
    else headers.push(name, value);
  }
  return {
    scheme,
    port: match[3] === undefined ? (scheme === "https" ? 443 : 80) : Number(match[3]),
    request: {
      method: options.method.toUpperCase(),
      host,
      path: match[4] === "" || match[4] === undefined ? "/" : match[4],
      query: match[5] ?? "",
      headers,
    },
  };
}
