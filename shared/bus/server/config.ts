/** The configuration of a local nats-server. It holds public keys only: nothing in it is secret. */

/** Subjects that a user may publish and subscribe to. */
export interface Permissions {
  publish: readonly string[];
  subscribe: readonly string[];
}

/** A user that proves itself with an nkey. */
export interface ServerUser {
  /** Public user nkey, `U…`. */
  nkey: string;
  permissions: Permissions;
}

export interface ServerConfig {
  /** Address to listen on. */
  host: string;
  /** -1 = any free port. */
  port: number;
  storeDir: string;
  users: readonly ServerUser[];
  /** Files of the server's certificate and key; with them, TLS is required. */
  tls?: { certificate: string; key: string };
  /** Port of the endpoint for probes; absent = none. */
  monitorPort?: number;
}

/** The text of the configuration file. Throws a `TypeError` for a value that could break out of it. */
export function serverConfigText(config: ServerConfig): string {
  const { tls, monitorPort } = config;
  const users = config.users.map((user) => {
    const { publish, subscribe } = user.permissions;
    return `    { nkey: ${quote(user.nkey)}, permissions: { publish: { allow: ${
      list(publish)
    } }, ` +
      `subscribe: { allow: ${list(subscribe)} } } }`;
  });
  return [
    `listen: ${quote(`${config.host}:${config.port}`)}`,
    "server_name: light-k8s-gateway",
    "max_payload: 1MB",
    `jetstream: { store_dir: ${quote(config.storeDir)} }`,
    ...(tls === undefined
      ? []
      : [`tls: { cert_file: ${quote(tls.certificate)}, key_file: ${quote(tls.key)} }`]),
    ...(monitorPort === undefined ? [] : [`http_port: ${monitorPort}`]),
    "authorization: {",
    "  users: [",
    users.join("\n"),
    "  ]",
    "}",
    "",
  ].join("\n");
}

function list(subjects: readonly string[]): string {
  return `[${subjects.map(quote).join(", ")}]`;
}

function quote(text: string): string {
  if (/["\\\n\r]/.test(text)) throw new TypeError(`not usable in a configuration: ${text}`);
  return `"${text}"`;
}
