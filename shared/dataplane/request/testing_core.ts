/** For tests: a request core over one compiled table, with requests made by hand. */
import type {
  BackendTls,
  HttpBackend,
  HttpFilter,
  HttpRule,
  ListenerResource,
  MirrorFilter,
  Resource,
} from "../../snapshot/schema.ts";
import type { Tracer } from "@opentelemetry/api";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { AccessLog } from "../observe/access_log.ts";
import { RequestStats } from "../observe/request_stats.ts";
import { compileTable } from "../table/compile.ts";
import type { RouteTable } from "../table/types.ts";
import { EndpointRegistry } from "../upstream/endpoints.ts";
import { Http1Client } from "../upstream/http1_client.ts";
import { Http2Client } from "../upstream/http2_client.ts";
import { TlsProfiles } from "../upstream/tls_profiles.ts";
import { TrustBundles } from "../upstream/trust_bundles.ts";
import { CertificateStore } from "../serve/tls_contexts.ts";
import { answeringOrigin, type Origin } from "../upstream/testing_origin.ts";
import { createRequestHandler } from "./handle.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import type {
  BodyReader,
  InboundRequest,
  OutboundResponse,
  RequestHandler,
  UpgradeRequest,
} from "./types.ts";

const SCOPE = "gateway/d/g";

/** A rule of the test's only route, or what differs from the plain one. */
export type TestRule = Partial<HttpRule>;

/** What a test varies. */
export interface CoreOptions {
  rules: TestRule[];
  /** Of the route. */
  kind?: "httproute" | "grpcroute";
  /** Port behind backend `a`, `b`, …; null = no ready endpoint. */
  backends?: Record<string, number | null>;
  /** What the backends speak. */
  protocol?: "http1" | "h2c";
  /** How the backends are talked to over TLS; absent = plaintext. */
  tls?: BackendTls;
  /** Secret slot of the Gateway's own certificate. */
  clientCertificate?: string;
  hostnames?: string[];
  listenerHostname?: string;
  /** What listener `http` says of its traffic. */
  traffic?: Pick<ListenerResource, "accessLog" | "maxBodyBytes">;
  port?: number;
  /** More listeners on the same port, name → hostname; the route is attached to all. */
  listeners?: Record<string, string>;
  limits?: Partial<Limits>;
  random?: () => number;
  /** Of the health of endpoints. */
  clock?: Pick<Clock, "monotonic">;
  tracer?: Tracer;
}

/** The endpoints of backend `name`: ports of loopback that are ready. */
export function setPorts(core: TestCore, ports: number[], name = "a"): void {
  const state = { ready: true, serving: true, terminating: false };
  core.endpoints.setEndpoints(`d/${name}/80`, {
    kind: "endpoints",
    endpoints: ports.map((port) => ({ address: "127.0.0.1", port, ...state })),
  });
}

/** A running core. */
export interface TestCore {
  readonly table: RouteTable;
  readonly handler: RequestHandler;
  readonly client: Http1Client;
  readonly endpoints: EndpointRegistry;
  readonly trust: TrustBundles;
  readonly certificates: CertificateStore;
  readonly stats: RequestStats;
  readonly limits: Limits;
  /** Lines of the access log. */
  log(): Promise<Record<string, unknown>[]>;
  /** Sends one request and takes the whole answer. */
  ask(request?: Partial<Ask>): Promise<Answer>;
  close(): void;
}

/** A request by hand. */
export interface Ask {
  method: string;
  target: string;
  authority: string;
  headers: string[];
  body: BodyReader | null;
  scheme: "http" | "https";
  sni: string;
  upgrade: UpgradeRequest;
  onRequest(request: InboundRequest): void;
}

/** A whole answer. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
  response: OutboundResponse;
}

/** A backendRef to backend `name` of {@linkcode CoreOptions.backends}. */
export function to(name: string, weight = 1, filters: HttpFilter[] = []): HttpBackend {
  return { weight, cluster: `cluster/d/${name}/80`, filters };
}

/** A filter that copies requests to backend `name` of {@linkcode CoreOptions.backends}. */
export function mirrorTo(name: string, share?: MirrorFilter["share"]): MirrorFilter {
  return { type: "mirror", cluster: `cluster/d/${name}/80`, ...(share && { share }) };
}

/** Builds table, registry and client; close() it. */
export function testCore(options: CoreOptions): TestCore {
  const resources = new Map<string, Resource>();
  const port = options.port ?? 80;
  resources.set("listener/d/g/http", {
    kind: "listener",
    name: "http",
    port,
    protocol: "HTTP",
    hostname: options.listenerHostname ?? "",
    ...options.traffic,
  });
  for (const [name, hostname] of Object.entries(options.listeners ?? {})) {
    resources.set(`listener/d/g/${name}`, {
      kind: "listener",
      name,
      port,
      protocol: "HTTP",
      hostname,
    });
  }
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const isRetired = (target: { address: string; port: number }) => !endpoints.inRotation(target);
  const client = new Http1Client({ limits, isRetired });
  const http2 = new Http2Client({ limits, isRetired });
  const endpoints: EndpointRegistry = new EndpointRegistry({
    observer: {
      setRetired(target, retired) {
        client.setRetired(target, retired);
        http2.setRetired(target, retired);
      },
    },
    random: () => 0,
    limits,
    clock: options.clock ?? systemClock,
  });
  for (const [name, at] of Object.entries(options.backends ?? {})) {
    const key = `d/${name}/80`;
    const protocol = options.protocol ?? "http1";
    const { tls } = options;
    resources.set(`cluster/${key}`, {
      kind: "cluster",
      endpoints: key,
      protocol,
      ...(tls === undefined ? {} : { tls }),
    });
    endpoints.setEndpoints(key, {
      kind: "endpoints",
      endpoints: at === null
        ? []
        : [{ address: "127.0.0.1", port: at, ready: true, serving: true, terminating: false }],
    });
  }
  if (options.clientCertificate !== undefined) {
    const { clientCertificate } = options;
    resources.set("upstream/d/g", { kind: "upstream", clientCertificate });
  }
  const kind = options.kind ?? "httproute";
  resources.set(`${kind}/d/r`, {
    kind,
    created: 1,
    listeners: ["http", ...Object.keys(options.listeners ?? {})],
    hostnames: options.hostnames ?? [],
    rules: options.rules.map((rule) => ({
      matches: [{ path: { type: "prefix", value: "/" } }],
      filters: [],
      backends: "a" in (options.backends ?? {}) ? [to("a")] : [],
      ...rule,
    })),
  });
  const table = compileTable({ scope: SCOPE, version: 7, digest: "sha256:x", resources });
  const stats = new RequestStats();
  const trust = new TrustBundles();
  const certificates = new CertificateStore();
  const lines: string[] = [];
  const accessLog = new AccessLog({
    sink: {
      write(bytes) {
        lines.push(...new TextDecoder().decode(bytes).trimEnd().split("\n"));
        return Promise.resolve();
      },
    },
  });
  const handler = createRequestHandler({
    upstream: client,
    upstreamHttp2: http2,
    endpoints,
    tls: new TlsProfiles({ trust, certificates, observers: [client, http2] }),
    stats,
    accessLog,
    tracer: options.tracer ?? null,
    limits,
    clock: systemClock,
    random: options.random ?? (() => 0.5),
  });
  return {
    table,
    handler,
    client,
    endpoints,
    trust,
    certificates,
    stats,
    limits,
    async log() {
      await accessLog.flush();
      return lines.map((line): Record<string, unknown> => JSON.parse(line));
    },
    ask: async (ask = {}) => answerOf(await handler(requestOf(table, port, ask))),
    close: () => {
      client.close();
      http2.close();
    },
  };
}

function requestOf(table: RouteTable, port: number, ask: Partial<Ask>): InboundRequest {
  const request: InboundRequest = {
    connection: {
      scheme: ask.scheme ?? "http",
      remoteAddress: "192.0.2.1",
      remotePort: 5555,
      port,
      scope: SCOPE,
      sni: ask.sni ?? "",
      table: () => table.ports.get(port),
      snapshotVersion: () => table.version,
    },
    method: ask.method ?? "GET",
    target: ask.target ?? "/",
    authority: ask.authority ?? "example.com",
    httpVersion: "1.1",
    headers: ask.headers ?? [],
    body: ask.body ?? null,
    upgrade: ask.upgrade ?? null,
    onAbort: null,
  };
  ask.onRequest?.(request);
  return request;
}

async function answerOf(response: OutboundResponse): Promise<Answer> {
  const headers: Record<string, string> = {};
  for (let i = 0; i < response.headers.length; i += 2) {
    const name = response.headers[i]!;
    const value = response.headers[i + 1]!;
    headers[name] = name in headers ? `${headers[name]}\n${value}` : value;
  }
  let body = "";
  try {
    if (response.body instanceof Uint8Array) body = new TextDecoder().decode(response.body);
    else if (response.body !== null) {
      for (let c = await response.body.read(); c !== null; c = await response.body.read()) {
        body += new TextDecoder().decode(c);
      }
    }
    response.done({ bytes: body.length });
  } catch (error) {
    response.done({ bytes: body.length, error });
    throw error;
  }
  return { status: response.status, headers, body, response };
}

/** Answers with the head that it got. */
export function echo(): Origin {
  return answeringOrigin((head) =>
    `HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: ${head.length}\r\n\r\n${head}`
  );
}

/** Runs a test against a core with one origin behind backend `a`, and closes both. */
export async function withCore(
  options: Omit<CoreOptions, "backends"> & { origin?: Origin; backends?: CoreOptions["backends"] },
  run: (core: TestCore) => Promise<void>,
): Promise<void> {
  const origin = options.origin ?? echo();
  const core = testCore({ ...options, backends: options.backends ?? { a: origin.port } });
  try {
    await run(core);
  } finally {
    core.close();
    await origin.close();
  }
}
