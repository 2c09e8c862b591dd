/** How a process gets onto the bus: where it is, who we are there, and what proves it. */
import { parseObject, parseString } from "../lib/parse.ts";

export interface BusAccess {
  /** `nats://host:port`, without credentials; or `file:///folder`. */
  url: string;
  /** Our name: inboxes are under it, and it is the user of a password. */
  user: string;
  /** Seed of the user's nkey. Secret. */
  seed?: string;
  /** PEM of the authorities that the server's certificate may be of; with it, TLS is required. */
  ca?: string;
  /** Secret. Without seed and password the server lets everybody in. */
  password?: string;
}

/** Checks a value that was handed over. Throws a `ParseError` that names the member. */
export function parseBusAccess(value: unknown, path: string): BusAccess {
  const access = parseObject(value, { path, keys: ["url", "user", "seed", "password", "ca"] });
  return {
    url: parseString(access.url, `${path}.url`),
    user: parseString(access.user, `${path}.user`),
    ...(access.seed === undefined ? {} : { seed: parseString(access.seed, `${path}.seed`) }),
    ...(access.ca === undefined ? {} : { ca: parseString(access.ca, `${path}.ca`) }),
    ...(access.password === undefined
      ? {}
      : { password: parseString(access.password, `${path}.password`) }),
  };
}

/**
 * Access to a server of the user's own (`NATS_URL`): credentials in the URL are used and taken out
 * of it, so that it can be shown. `role` is our name when there are none.
 * Throws a `TypeError` that does not repeat the URL when it is not one.
 */
export function accessFromUrl(text: string, role: string): BusAccess {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `nats://${text}`);
  } catch {
    throw new TypeError("NATS_URL: expected nats://[user:password@]host[:port]");
  }
  const { username, password, hostname, port, protocol } = url;
  if (protocol === "file:") return { url: url.href, user: role };
  if (hostname === "") throw new TypeError("NATS_URL: expected a host");
  return {
    url: `${protocol}//${hostname}:${port === "" ? 4222 : port}`,
    user: username === "" ? role : decodeURIComponent(username),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
  };
}
