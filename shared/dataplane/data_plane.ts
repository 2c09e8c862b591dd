/** The data plane as one thing: what the apply loop feeds and what a proxy or sidecar hosts. */
import type { Tracer } from "@opentelemetry/api";
import type { Clock } from "../lib/clock.ts";
import { errorMessage } from "../lib/log.ts";
import type { Logger, LogLevel } from "../lib/log.ts";
import type { BindMap, EndpointSet } from "../snapshot/schema.ts";
import type { OpenedCertificate, TrustedAuthorities, VerifiedSnapshot } from "./apply/types.ts";
import type { DataPlaneHost } from "./host.ts";
import type { AccessLog } from "./observe/access_log.ts";
import { ProxyMetrics } from "./observe/metrics.ts";
import { createRequestHandler } from "./request/handle.ts";
import type { Limits } from "./request/limits.ts";
import { connectionBound } from "./serve/connection_bound.ts";
import type { ConnectionBound } from "./serve/connection_bound.ts";
import { openHttp1 } from "./serve/http1_connection.ts";
import type { LimitName } from "./serve/http1_connection.ts";
import { openHttp2 } from "./serve/http2_connection.ts";
import { httpDate } from "./serve/http_date.ts";
import { DatagramBuffers } from "./serve/datagram_buffers.ts";
import { DatagramListeners } from "./serve/datagram_listeners.ts";
import { Listeners } from "./serve/listeners.ts";
import { OpenConnections } from "./serve/open_connections.ts";
import { LargeBuffers } from "./serve/splice_buffers.ts";
import { openLane } from "./serve/stream_lane.ts";
import { WriteBuffers } from "./serve/write_buffers.ts";
import { CertificateStore } from "./serve/tls_contexts.ts";
import { compileTable } from "./table/compile.ts";
import type { RouteTable } from "./table/types.ts";
import { Deadlines } from "./upstream/deadlines.ts";
import { EndpointRegistry } from "./upstream/endpoints.ts";
import { logHealth } from "./observe/health_log.ts";
import { NameResolver } from "./upstream/name_resolver.ts";
import { systemLookup } from "./upstream/system_lookup.ts";
import { Http1Client } from "./upstream/http1_client.ts";
import { Http2Client } from "./upstream/http2_client.ts";
import { TlsProfiles } from "./upstream/tls_profiles.ts";
import { TrustBundles } from "./upstream/trust_bundles.ts";

/** What a host decides. */
export interface DataPlaneOptions {
  /** Address that every listener is bound on. */
  bindAddress: string;
  /** Several data planes share each port. Default false. */
  reusePort?: boolean;
  /** False: one of those has the sockets of UDP, and it is not this one. Default true. */
  datagrams?: boolean;
  limits: Limits;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  log: Logger;
  /** Null: no access log. */
  accessLog: AccessLog | null;
  /** Gives a span to every request. Default: no spans. */
  tracer?: Tracer;
  /** File descriptors that the process may have, shared fairly among its workers. */
  openFiles?: number;
}

/** Fleet ports that are bound. */
export interface BoundPorts {
  connections: number[];
  datagrams: number[];
}

/** Between tries to bind a port that is taken. */
const BIND_RETRY = { initial: 20, max: 2_000 };
/** Milliseconds that running requests get when the data plane stops. */
const DRAIN_TIME = 10_000;

export class DataPlane implements DataPlaneHost {
  readonly metrics: ProxyMetrics;
  readonly #options: DataPlaneOptions;
  readonly #deadlines: Deadlines;
  readonly #certificates = new CertificateStore();
  readonly #trust = new TrustBundles();
  readonly #upstream: Http1Client;
  readonly #upstreamHttp2: Http2Client;
  readonly #names: NameResolver;
  readonly #endpoints: EndpointRegistry;
  readonly #listeners: Listeners;
  readonly #datagrams: DatagramListeners;
  readonly #connections: OpenConnections;
  readonly #bound: ConnectionBound;
  #open = 0;
  #ending = false;

  /** Serves nothing yet. */
  constructor(options: DataPlaneOptions) {
    const { limits, clock, random, log, accessLog } = options;
    this.#options = options;
    this.#deadlines = new Deadlines(clock);
    this.metrics = new ProxyMetrics({
      clock,
      connections: () => this.#open,
      endpoints: () => this.#endpoints.observed(),
      ...(accessLog === null ? {} : { accessLog }),
    });
    const stats = this.metrics.requests;
    const client = {
      limits,
      clock,
      deadlines: this.#deadlines,
      onRetry: () => stats.retries++,
      isRetired: (target: { address: string; port: number }) => !this.#endpoints.inRotation(target),
    };
    this.#upstream = new Http1Client(client);
    this.#upstreamHttp2 = new Http2Client(client);
    this.#names = new NameResolver({
      lookup: systemLookup,
      random,
      onChange: (name) => this.#endpoints.nameChanged(name),
      onFailure: (name, error) => {
        stats.nameFailures++;
        log.warn("name_not_resolved", { name, error: errorMessage(error) });
      },
    });
    this.#endpoints = new EndpointRegistry({
      random,
      limits,
      clock,
      health: (key) => logHealth(log, key),
      names: this.#names,
      observer: {
        setRetired: (target, retired) => {
          this.#upstream.setRetired(target, retired);
          this.#upstreamHttp2.setRetired(target, retired);
        },
      },
    });
    const tls = new TlsProfiles({
      trust: this.#trust,
      certificates: this.#certificates,
      observers: [this.#upstream, this.#upstreamHttp2],
    });
    const handler = createRequestHandler({
      upstream: this.#upstream,
      upstreamHttp2: this.#upstreamHttp2,
      endpoints: this.#endpoints,
      tls,
      stats,
      accessLog,
      tracer: options.tracer ?? null,
      limits,
      clock,
      random,
    });
    const date = httpDate(clock);
    const deadlines = this.#deadlines;
    this.#bound = connectionBound(limits.maxConnections, options.openFiles);
    const { bound, openFiles } = this.#bound;
    log.info("connections_bounded", { bound, openFiles: openFiles ?? "unknown" });
    this.#connections = new OpenConnections({
      max: bound,
      onRefused: () => stats.limitExceeded("max_connections"),
      onCount: (open) => this.#open = open,
      onFailure: (error) => log.error("connection_failed", { error: errorMessage(error) }),
    });
    const codec = {
      handler,
      clock,
      limits,
      deadlines,
      date,
      buffers: new WriteBuffers(),
      ending: () => this.#ending,
      // A body that stalls is counted with the request it belongs to.
      onLimit: (limit: LimitName) => {
        if (limit !== "body_timeout") stats.limitExceeded(limit);
      },
    };
    const lane = {
      endpoints: this.#endpoints,
      tls,
      deadlines,
      limits,
      random,
      clock,
      accessLog,
      stats: this.metrics.streams,
      buffers: new LargeBuffers(() => this.metrics.streams.buffersRefused++),
    };
    this.#datagrams = new DatagramListeners({
      bindAddress: options.bindAddress,
      served: options.datagrams ?? true,
      bindRetry: BIND_RETRY,
      lane: {
        ...lane,
        log,
        connections: this.#connections,
        buffers: new DatagramBuffers(),
        onDropped: (scope, reason) => lane.stats.dropped(scope, reason),
      },
    });
    this.#listeners = new Listeners({
      bindAddress: options.bindAddress,
      reusePort: options.reusePort ?? false,
      connections: this.#connections,
      handshakeTimeout: limits.headTimeout,
      bindRetry: BIND_RETRY,
      watchEvery: limits.acceptWatchInterval,
      certificates: this.#certificates,
      trust: this.#trust,
      clock,
      deadlines,
      log,
      onHandshakeFailure: (reason) => stats.limitExceeded(`tls_${reason}`),
      onSilence: () => stats.limitExceeded("head_timeout"),
      engines: {
        http1: (stream, info) => openHttp1(stream, info, codec),
        http2: (stream, info) => openHttp2(stream, info, codec),
        tcp: (stream, info) => openLane({ stream, info, protocol: "TCP", terminated: false }, lane),
        passthrough: (stream, info) =>
          openLane({ stream, info, protocol: "TLS", terminated: false }, lane),
        terminated: (stream, info) =>
          openLane({ stream, info, protocol: "TLS", terminated: true }, lane),
      },
    });
  }

  prepare(snapshot: VerifiedSnapshot): () => Promise<void> {
    const table = compileTable(snapshot, this.#listeners.table(snapshot.scope));
    return async () => {
      const bound = [this.#listeners.setTable(table), this.#datagrams.setTable(table)];
      this.metrics.snapshotApplied(table.scope, table.version);
      await Promise.all(bound);
    };
  }

  removeScope(scope: string): void {
    void this.#listeners.removeScope(scope);
    void this.#datagrams.removeScope(scope);
    this.metrics.snapshotRemoved(scope);
  }

  setEndpoints(key: string, set: EndpointSet): void {
    this.#endpoints.setEndpoints(key, set);
  }

  removeEndpoints(key: string): void {
    this.#endpoints.removeEndpoints(key);
  }

  async setBinds(scope: string, binds: BindMap): Promise<void> {
    await Promise.all([
      this.#listeners.setBinds(scope, binds),
      this.#datagrams.setBinds(scope, binds),
    ]);
  }

  setCertificate(certificate: OpenedCertificate): void {
    this.#certificates.set(certificate);
  }

  removeCertificate(slot: string): void {
    this.#certificates.delete(slot);
  }

  setTrust(authorities: TrustedAuthorities): void {
    this.#trust.set(authorities);
  }

  removeTrust(slot: string): void {
    this.#trust.delete(slot);
  }

  boundPorts(): number[] {
    const { connections, datagrams } = this.boundByKind();
    return [...connections, ...datagrams];
  }

  /** The same, ports of connections and of datagrams told apart. */
  boundByKind(): BoundPorts {
    return {
      connections: this.#listeners.bound().map(({ fleetPort }) => fleetPort),
      datagrams: this.#datagrams.bound().map(({ fleetPort }) => fleetPort),
    };
  }

  bindFailures() {
    return [...this.#listeners.bindFailures(), ...this.#datagrams.bindFailures()];
  }

  complete(): boolean {
    return this.#listeners.complete() && this.#datagrams.complete();
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
      connections: { open: this.#open, ...this.#bound },
      bound: this.#listeners.bound(),
      datagrams: this.#datagrams.bound(),
      bindFailures: this.bindFailures(),
      certificates: this.#certificates.summaries(),
      trust: Object.fromEntries(this.#trust.entries()),
      tables: this.#listeners.tables().map(dumpTable),
      endpoints: Object.fromEntries(this.#endpoints.entries()),
      ejected: dumpEjected(this.#endpoints),
      names: Object.fromEntries(this.#names.entries()),
    });
  }

  announceEnd(): void {
    this.#ending = true;
  }

  /** Stops accepting, lets running requests finish within a bound, then closes everything. */
  async close(): Promise<void> {
    await this.#listeners.close();
    await this.#datagrams.close();
    await this.#connections.drain(DRAIN_TIME);
    this.#upstream.close();
    this.#upstreamHttp2.close();
    this.#names.close();
    this.#deadlines.close();
    await this.#options.accessLog?.flush();
  }
}

/** The addresses that the proxy leaves out by itself, per endpoint set. */
function dumpEjected(endpoints: EndpointRegistry): Record<string, string[]> {
  const all: Record<string, string[]> = {};
  for (const [key, { health }] of endpoints.observed()) {
    if (health.ejected === 0) continue;
    all[key] = health.places.filter(({ ejected }) => ejected)
      .map(({ address, port }) => `${address}:${port}`);
  }
  return all;
}

function dumpTable(table: RouteTable) {
  return {
    scope: table.scope,
    version: table.version,
    digest: table.digest,
    ports: [...table.ports.values(), ...table.datagramPorts.values()].map((port) => ({
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
