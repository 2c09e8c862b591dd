/**
 * Counters of the request path: plain numbers behind references that the caller keeps, so that a
 * request costs additions and no label hashing. Read at scrape time only.
 */
import { DurationHistogram } from "./histogram.ts";

/** Labels of a rule's series; empty where there is none (no listener, no route). */
export interface RuleLabels {
  gateway: string;
  listener: string;
  /** Names are unique within a kind. */
  routeKind: "HTTPRoute" | "GRPCRoute" | typeof OTHER | "";
  routeNamespace: string;
  routeName: string;
  rule: string;
}

/** One series of `lgw_proxy_requests_total`. */
export interface RequestSeries {
  readonly labels: RuleLabels;
  readonly backend: string;
  /** HTTP status. */
  readonly code: number;
  /** Of a call (gRPC); null for any other request. */
  readonly grpcStatus: number | null;
  value: number;
}

/** What a request came to. */
type Result = Pick<RequestSeries, "code" | "grpcStatus">;

const OTHER = "__other__";

/** The counters of one backend of one rule. */
export class BackendStats {
  readonly #results = new Map<number, RequestSeries>();
  readonly #make: (result: Result) => RequestSeries;

  constructor(make: (result: Result) => RequestSeries) {
    this.#make = make;
  }

  /** Counts one answer. */
  count(code: number, grpcStatus: number | null = null): void {
    const key = keyOf(code, grpcStatus);
    let series = this.#results.get(key);
    if (series === undefined) {
      series = this.#make({ code, grpcStatus });
      this.#results.set(key, series);
    }
    series.value += 1;
  }
}

/** HTTP statuses have three digits. */
function keyOf(code: number, grpcStatus: number | null): number {
  return grpcStatus === null ? code : (grpcStatus + 1) * 1000 + code;
}

/** Durations of one Gateway. */
export interface GatewayStats {
  readonly request: DurationHistogram;
  readonly upstream: DurationHistogram;
}

const OTHER_LABELS: RuleLabels = {
  gateway: OTHER,
  listener: OTHER,
  routeKind: OTHER,
  routeNamespace: OTHER,
  routeName: OTHER,
  rule: OTHER,
};

/**
 * All counters of the request path. Series are bounded: beyond `maxSeries`, new ones are counted
 * together under `__other__` per code, and `overflow` says how many did not get their own.
 */
export class RequestStats {
  readonly #series = new Map<string, RequestSeries>();
  readonly #backends = new Map<string, BackendStats>();
  readonly #unrouted = new Map<string, BackendStats>();
  readonly #gateways = new Map<string, GatewayStats>();
  readonly #maxSeries: number;
  inflight = 0;
  overflow = 0;
  retries = 0;
  timeouts = 0;
  /** Host names of endpoints that could not be resolved when they were due. */
  nameFailures = 0;
  /** Open connections that switched to another protocol, and the bytes of those that ended. */
  tunnels = 0;
  tunnelBytesIn = 0;
  tunnelBytesOut = 0;
  /** By reason. */
  readonly upstreamErrors: Map<string, number> = new Map();
  /** Requests that a route's retry sent again, by why. */
  readonly routeRetries: Map<string, number> = new Map();
  /** Requests sent to another endpoint because the first could not be asked, by why. */
  readonly failovers: Map<string, number> = new Map();
  /** Copies of requests, by outcome. */
  readonly mirrors: Map<string, number> = new Map();
  /** By limit. */
  readonly limits: Map<string, number> = new Map();

  constructor(options: { maxSeries?: number } = {}) {
    this.#maxSeries = options.maxSeries ?? 2000;
  }

  /** The counters for a backend of a rule; keep the reference. */
  backend(labels: RuleLabels, backend: string): BackendStats {
    const key = JSON.stringify([
      labels.gateway,
      labels.listener,
      labels.routeKind,
      labels.routeNamespace,
      labels.routeName,
      labels.rule,
      backend,
    ]);
    let stats = this.#backends.get(key);
    if (stats === undefined) {
      stats = new BackendStats((result) => this.#make(key, { labels, backend, ...result }));
      if (this.#backends.size < this.#maxSeries) this.#backends.set(key, stats);
    }
    return stats;
  }

  /** The counters for what no route took; `listener` empty when none served the host. */
  unrouted(scope: string, listener: string): BackendStats {
    const key = `${scope}\n${listener}`;
    let stats = this.#unrouted.get(key);
    if (stats === undefined) {
      const noRoute = { routeKind: "", routeNamespace: "", routeName: "", rule: "" } as const;
      const labels = { gateway: scope, listener, ...noRoute };
      stats = this.backend(labels, "");
      if (this.#unrouted.size < this.#maxSeries) this.#unrouted.set(key, stats);
    }
    return stats;
  }

  /** The histograms of a Gateway; keep the reference. */
  gateway(scope: string): GatewayStats {
    let stats = this.#gateways.get(scope);
    if (stats === undefined) {
      stats = { request: new DurationHistogram(), upstream: new DurationHistogram() };
      if (this.#gateways.size >= this.#maxSeries && scope !== OTHER) return this.gateway(OTHER);
      this.#gateways.set(scope, stats);
    }
    return stats;
  }

  /** Forgets the series of a Gateway that is no longer served. */
  removeGateway(scope: string): void {
    this.#gateways.delete(scope);
    for (const [key, series] of this.#series) {
      if (series.labels.gateway === scope) this.#series.delete(key);
    }
    for (const key of this.#unrouted.keys()) {
      if (key.startsWith(`${scope}\n`)) this.#unrouted.delete(key);
    }
    const prefix = `[${JSON.stringify(scope)},`;
    for (const key of this.#backends.keys()) {
      if (key.startsWith(prefix)) this.#backends.delete(key);
    }
  }

  upstreamError(reason: string): void {
    this.upstreamErrors.set(reason, (this.upstreamErrors.get(reason) ?? 0) + 1);
  }

  limitExceeded(limit: string): void {
    this.limits.set(limit, (this.limits.get(limit) ?? 0) + 1);
  }

  series(): Iterable<RequestSeries> {
    return this.#series.values();
  }

  gateways(): Iterable<[string, GatewayStats]> {
    return this.#gateways.entries();
  }

  #make(of: string, series: Omit<RequestSeries, "value">): RequestSeries {
    const { labels, code, grpcStatus } = series;
    const key = `${of}${keyOf(code, grpcStatus)}`;
    const existing = this.#series.get(key);
    if (existing !== undefined) return existing;
    if (this.#series.size >= this.#maxSeries && labels !== OTHER_LABELS) {
      this.overflow += 1;
      return this.#make(OTHER, { labels: OTHER_LABELS, backend: OTHER, code, grpcStatus });
    }
    const made: RequestSeries = { ...series, value: 0 };
    this.#series.set(key, made);
    return made;
  }
}
