/** The data plane as one thing: what the apply loop feeds and what a proxy or sidecar hosts. */
import type { Clock } from "../lib/clock.ts";
import type { Logger, LogLevel } from "../lib/log.ts";
import type { BindMap, EndpointSet } from "../snapshot/schema.ts";
import type { OpenedCertificate, VerifiedSnapshot } from "./apply/types.ts";
import type { DataPlaneHost } from "./host.ts";
import type { AccessLog } from "./observe/access_log.ts";
import { ProxyMetrics } from "./observe/metrics.ts";
import { createRequestHandler } from "./request/handle.ts";
import type { Limits } from "./request/limits.ts";
import { openHttp1 } from "./serve/http1_connection.ts";
import { httpDate } from "./serve/http_date.ts";
import { Listeners } from "./serve/listeners.ts";
import { createNativeEngine } from "./serve/native_engine.ts";
import type { NativeEngine } from "./serve/native_engine.ts";
import { serveNative } from "./serve/native.ts";
import { CertificateStore } from "./serve/tls_contexts.ts";
import { compileTable } from "./table/compile.ts";
import type { RouteTable } from "./table/types.ts";
import { Deadlines } from "./upstream/deadlines.ts";
import { EndpointRegistry } from "./upstream/endpoints.ts";
import { Http1Client } from "./upstream/http1_client.ts";

/** What a host decides. */
export interface DataPlaneOptions {
  /** Address that every listener is bound on. */
  bindAddress: string;
  /** Several data planes share each port. Default false. */
  reusePort?: boolean;
  limits: Limits;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  log: Logger;
  /** Null: no access log. */
  accessLog: AccessLog | null;
}

/** Between tries to bind a port that is taken. */
const BIND_RETRY = { initial: 20, max: 2_000 };
/** Milliseconds that running requests get when the data plane stops. */
const DRAIN_TIME = 10_000;

/** A connection of either engine. */
interface OpenConnection {
  readonly finished: Promise<void>;
  /** Lets running requests finish, then closes. */
  drain(): Promise<void>;
  abort(): void;
}

/** Makes a data plane that serves nothing yet. */
export async function createDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  return new DataPlane(options, await createNativeEngine());
}

export class DataPlane implements DataPlaneHost {
  readonly metrics: ProxyMetrics;
  readonly #options: DataPlaneOptions;
  readonly #engine: NativeEngine;
  readonly #deadlines: Deadlines;
  readonly #certificates = new CertificateStore();
  readonly #upstream: Http1Client;
  readonly #endpoints: EndpointRegistry;
  readonly #listeners: Listeners;
  readonly #open = new Set<OpenConnection>();
  #connections = 0;

  constructor(options: DataPlaneOptions, engine: NativeEngine) {
    const { limits, clock, random, log, accessLog } = options;
    this.#options = options;
    this.#engine = engine;
    this.#deadlines = new Deadlines(clock);
    this.metrics = new ProxyMetrics({
      clock,
      connections: () => this.#connections,
      ...(accessLog === null ? {} : { accessLog }),
    });
    const stats = this.metrics.requests;
    this.#upstream = new Http1Client({
      limits,
      clock,
      deadlines: this.#deadlines,
      onRetry: () => stats.retries++,
    });
    this.#endpoints = new EndpointRegistry({ random, observer: this.#upstream });
    const handler = createRequestHandler({
      upstream: this.#upstream,
      endpoints: this.#endpoints,
      stats,
      accessLog,
      limits,
      clock,
      random,
    });
    const date = httpDate(clock);
    const deadlines = this.#deadlines;
    this.#listeners = new Listeners({
      bindAddress: options.bindAddress,
      reusePort: options.reusePort ?? false,
      maxConnections: limits.maxConnections,
      handshakeTimeout: limits.headTimeout,
      bindRetry: BIND_RETRY,
      certificates: this.#certificates,
      deadlines,
      log,
      onTooManyConnections: () => stats.limitExceeded("max_connections"),
      onHandshakeFailure: (reason) => stats.limitExceeded(`tls_${reason}`),
      onConnections: (open) => this.#connections = open,
      engines: {
        native: (connection, info) =>
          this.#follow(
            serveNative(connection, info, handler, { engine, limits, deadlines, stats }),
          ),
        stream: ({ stream }, info) =>
          this.#follow(openHttp1(stream, info, {
            handler,
            limits,
            deadlines,
            date,
            // A body that stalls is counted with the request it belongs to.
            onLimit: (limit) => {
              if (limit !== "body_timeout") stats.limitExceeded(limit);
            },
          })),
      },
    });
  }

  /** How Deno's own HTTP engine is reached. */
  get engineMode(): "internal" | "public" {
    return this.#engine.mode;
  }

  prepare(snapshot: VerifiedSnapshot): () => void {
    const table = compileTable(snapshot, this.#listeners.table(snapshot.scope));
    return () => {
      this.#listeners.setTable(table);
      this.metrics.snapshotApplied(table.scope, table.version);
    };
  }

  removeScope(scope: string): void {
    void this.#listeners.removeScope(scope);
    this.metrics.snapshotRemoved(scope);
  }

  setEndpoints(key: string, set: EndpointSet): void {
    this.#endpoints.setEndpoints(key, set);
  }

  removeEndpoints(key: string): void {
    this.#endpoints.removeEndpoints(key);
  }

  setBinds(scope: string, binds: BindMap): Promise<void> {
    return this.#listeners.setBinds(scope, binds);
  }

  setCertificate(certificate: OpenedCertificate): void {
    this.#certificates.set(certificate);
  }

  removeCertificate(slot: string): void {
    this.#certificates.delete(slot);
  }

  bindFailures() {
    return this.#listeners.bindFailures();
  }

  complete(): boolean {
    return this.#listeners.complete();
  }

  applyError(reason: string): void {
    this.metrics.applyError(reason);
  }

  expose(): Promise<{ contentType: string; text: string }> {
    return this.metrics.expose();
  }

  setLogLevel(level: LogLevel): void {
    this.#options.log.setLevel(level);
  }

  dump(): Promise<Record<string, unknown>> {
    return Promise.resolve({
      engine: this.engineMode,
      bound: this.#listeners.bound(),
      bindFailures: this.bindFailures(),
      certificates: this.#certificates.summaries(),
      tables: this.#listeners.tables().map(dumpTable),
      endpoints: Object.fromEntries(this.#endpoints.entries()),
    });
  }

  /** Stops accepting, lets running requests finish within a bound, then closes everything. */
  async close(): Promise<void> {
    await this.#listeners.close();
    const drained = Promise.all([...this.#open].map((connection) => connection.drain()));
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      drained,
      new Promise((resolve) => timer = setTimeout(resolve, DRAIN_TIME)),
    ]);
    clearTimeout(timer);
    for (const connection of this.#open) connection.abort();
    this.#upstream.close();
    this.#deadlines.close();
    await this.#engine.close();
    await this.#options.accessLog?.flush();
  }

  async #follow(connection: OpenConnection): Promise<void> {
    this.#open.add(connection);
    try {
      await connection.finished;
    } finally {
      this.#open.delete(connection);
    }
  }
}

function dumpTable(table: RouteTable) {
  return {
    scope: table.scope,
    version: table.version,
    digest: table.digest,
    ports: [...table.ports.values()].map((port) => ({
      port: port.port,
      protocol: port.protocol,
      listeners: port.listeners,
      routes: [
        ...new Set(
          port.candidates().map(({ rule }) => `${rule.routeNamespace}/${rule.routeName}`),
        ),
      ].sort(),
    })),
  };
}
