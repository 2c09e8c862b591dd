/**
 * Listeners from the file, beside those of Gateways: a list, or the shorthand of two ports. They
 * become a Gateway of their own, which routes name like any other.
 */
import {
  parseBoolean,
  ParseError,
  parseInteger,
  parseObject,
  parseOptionalString,
  parseString,
  parseStrings,
} from "../lib/parse.ts";

export interface ServerListener {
  name: string;
  protocol: "HTTP" | "HTTPS";
  port: number;
  /** Empty = every host. */
  hostname: string;
  /** Paths of PEM files; HTTPS only. */
  tls?: { certPath: string; keyPath: string };
}

export interface ServerSettings {
  /** Address that proxies bind; undefined = the default of the deployment. */
  ip?: string;
  /** In the order of the file; empty = Gateways alone say what is served. */
  listeners: ServerListener[];
  /**
   * Absolute paths of sockets, or of folders of sockets, that LightBackends may name. Empty: none,
   * since whoever writes a LightBackend could otherwise reach any service of the machine.
   */
  unixSockets: string[];
}

const KEYS = [
  "ip",
  "listeners",
  "unixSockets",
  "enableHttp",
  "httpPort",
  "enableHttps",
  "httpsPort",
  "tlsCertPath",
  "tlsKeyPath",
] as const;

/** Checks the section `server`. Throws a `ParseError` that names the setting. */
export function parseServer(value: unknown): ServerSettings {
  const server = parseObject(value, { path: "server", keys: KEYS });
  const listed = parseList(server.listeners ?? []);
  const short = shorthand(server);
  if (listed.length > 0 && short.length > 0) {
    throw new ParseError("server.listeners", "a list without enableHttp and enableHttps, or those");
  }
  const listeners = [...listed.map(({ listener }) => listener), ...short];
  const ip = oneAddress(parseOptionalString(server.ip, "server.ip"), listed);
  const unixSockets = parseStrings(server.unixSockets ?? [], "server.unixSockets");
  for (const [index, path] of unixSockets.entries()) {
    if (!/^\/[^,]+$/.test(path)) {
      throw new ParseError(`server.unixSockets[${index}]`, "an absolute path without commas");
    }
  }
  return { listeners, unixSockets, ...(ip === "" ? {} : { ip }) };
}

interface Listed {
  listener: ServerListener;
  ip: string;
  path: string;
}

function parseList(value: unknown): Listed[] {
  if (!Array.isArray(value)) throw new ParseError("server.listeners", "a list");
  const names = new Set<string>();
  return value.map((entry: unknown, index) => {
    const path = `server.listeners[${index}]`;
    const given = parseObject(entry, {
      path,
      keys: ["name", "protocol", "ip", "port", "hostname", "tlsCertPath", "tlsKeyPath"],
    });
    const listener: ServerListener = {
      name: parseString(given.name, `${path}.name`),
      protocol: parseProtocol(given.protocol, `${path}.protocol`),
      port: parseInteger(given.port, { path: `${path}.port`, min: 1, max: 65_535 }),
      hostname: parseOptionalString(given.hostname, `${path}.hostname`),
      ...parseTls(given, path),
    };
    checkTls(listener, path);
    if (names.has(listener.name)) throw new ParseError(`${path}.name`, "a name of its own");
    names.add(listener.name);
    return { listener, ip: parseOptionalString(given.ip, `${path}.ip`), path };
  });
}

/** `enableHttp` and `enableHttps` with their ports: two listeners for every host. */
function shorthand(server: Partial<Record<(typeof KEYS)[number], unknown>>): ServerListener[] {
  const port = (name: "httpPort" | "httpsPort", fallback: number) =>
    parseInteger(server[name], { path: `server.${name}`, min: 1, max: 65_535, fallback });
  const http: ServerListener = {
    name: "http",
    protocol: "HTTP",
    port: port("httpPort", 80),
    hostname: "",
  };
  const https: ServerListener = {
    name: "https",
    protocol: "HTTPS",
    port: port("httpsPort", 443),
    hostname: "",
    ...parseTls(server, "server"),
  };
  const listeners: ServerListener[] = [];
  if (parseBoolean(server.enableHttp, "server.enableHttp", false)) listeners.push(http);
  if (parseBoolean(server.enableHttps, "server.enableHttps", false)) {
    checkTls(https, "server");
    listeners.push(https);
  }
  return listeners;
}

function parseProtocol(value: unknown, path: string): "HTTP" | "HTTPS" {
  if (value === "HTTP" || value === "HTTPS") return value;
  throw new ParseError(path, "HTTP or HTTPS");
}

function parseTls(
  given: { tlsCertPath?: unknown; tlsKeyPath?: unknown },
  path: string,
): Pick<ServerListener, "tls"> {
  const certPath = parseOptionalString(given.tlsCertPath, `${path}.tlsCertPath`);
  const keyPath = parseOptionalString(given.tlsKeyPath, `${path}.tlsKeyPath`);
  if (certPath === "" && keyPath === "") return {};
  if (certPath === "") throw new ParseError(`${path}.tlsCertPath`, "the certificate of tlsKeyPath");
  if (keyPath === "") throw new ParseError(`${path}.tlsKeyPath`, "the key of tlsCertPath");
  return { tls: { certPath, keyPath } };
}

function checkTls({ protocol, tls }: ServerListener, path: string): void {
  if (protocol === "HTTPS" && tls === undefined) {
    throw new ParseError(`${path}.tlsCertPath`, "the path of a PEM certificate, with tlsKeyPath");
  }
  if (protocol === "HTTP" && tls !== undefined) {
    throw new ParseError(`${path}.tlsCertPath`, "nothing on a listener of protocol HTTP");
  }
}

/** A proxy binds one address: every listener that names one has to name the same. */
function oneAddress(ip: string, listed: readonly Listed[]): string {
  let one = ip;
  for (const { ip, path } of listed) {
    if (ip === "" || ip === one) continue;
    if (one !== "") throw new ParseError(`${path}.ip`, `${one}: a proxy binds one address`);
    one = ip;
  }
  return one;
}
