/** The way to an API server: where it is, whom to trust, who we are. */
// @ts-types="./client_node.d.ts"
import { KubeConfig } from "@kubernetes/client-node";
import { type Clock, systemClock } from "../../../shared/lib/clock.ts";
import { errorMessage } from "../../../shared/lib/log.ts";

/** Where the credentials are. */
export type AccessSource =
  /** A kubeconfig file; its current context counts. */
  | { kind: "kubeconfig"; path: string }
  /** The ServiceAccount of the pod that this process runs in. */
  | { kind: "pod" };

/** What a request needs. */
export interface KubeAccess {
  /** `https://host:port`, without a slash at the end. */
  readonly server: string;
  readonly client: Deno.HttpClient;
  /** Headers that say who we are; asked for every request, since tokens are rotated. */
  headers(): Promise<Readonly<Record<string, string>>>;
  close(): void;
}

/** Milliseconds that a token is used without looking for a newer one. */
const TOKEN_LIFE = 30_000;

/** What the library fills in. */
interface Credentials {
  headers?: Record<string, string>;
  ca?: unknown;
  cert?: unknown;
  key?: unknown;
  rejectUnauthorized?: boolean;
}

/**
 * Reads the credentials.
 * @throws {Error} when there are none, or they ask for what is not supported.
 */
export async function openAccess(
  source: AccessSource,
  clock: Clock = systemClock,
): Promise<KubeAccess> {
  const config = new KubeConfig();
  try {
    if (source.kind === "pod") config.loadFromCluster();
    else config.loadFromFile(source.path);
  } catch (error) {
    throw new Error(`${shown(source)}: ${errorMessage(error)}`, { cause: error });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(`${shown(source)}: its current context names no cluster; set current-context`);
  }
  const first = await credentials(config);
  if (first.rejectUnauthorized === false) {
    // Whoever sits in between would get the token, and every Secret that is read with it.
    throw new Error(
      `${shown(source)}: insecure-skip-tls-verify is not supported; give the cluster's CA`,
    );
  }
  const client = Deno.createHttpClient({
    ...(first.ca === undefined ? {} : { caCerts: [text(first.ca)] }),
    ...(first.cert === undefined || first.key === undefined
      ? {}
      : { cert: text(first.cert), key: text(first.key) }),
    // A watch is a request that does not end: over one shared HTTP/2 connection a hundred of them
    // would use up the streams that the server allows.
    http2: false,
    poolIdleTimeout: 60_000,
  });
  let headers = first.headers ?? {};
  let read = clock.monotonic();
  return {
    server: cluster.server.replace(/\/+$/, ""),
    client,
    headers: async () => {
      if (clock.monotonic() - read >= TOKEN_LIFE) {
        headers = (await credentials(config)).headers ?? {};
        read = clock.monotonic();
      }
      return headers;
    },
    close: () => client.close(),
  };
}

async function credentials(config: KubeConfig): Promise<Credentials> {
  const options: Credentials = {};
  await config.applyToHTTPSOptions(options);
  return options;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : new TextDecoder().decode(value as Uint8Array);
}

function shown(source: AccessSource): string {
  return source.kind === "pod" ? "service account" : `kubeconfig "${source.path}"`;
}
