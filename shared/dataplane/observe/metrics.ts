/** The proxy's metrics: own counters, handed to prom-client when somebody scrapes. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { MetricObjectWithValues, MetricValue } from "prom-client";
import type { Clock } from "../../lib/clock.ts";
import type { AccessLog } from "./access_log.ts";
import { type ObservedSet, registerHealthMetrics } from "./health_metrics.ts";
import { DURATION_BOUNDS, type DurationHistogram } from "./histogram.ts";
import { RequestStats } from "./request_stats.ts";
import { registerStreamMetrics, StreamStats } from "./stream_stats.ts";

/** Settings of the metrics. */
export interface ProxyMetricsOptions {
  clock: Pick<Clock, "now">;
  /** Bound on series of `lgw_proxy_requests_total`. Default 2000. */
  maxSeries?: number;
  /** Gives the open client connections. */
  connections?: () => number;
  /** Gives the endpoint sets, as the proxy sees them. */
  endpoints?: () => Iterable<ObservedSet>;
  /** Null or absent: no access log, no metric of it. */
  accessLog?: Pick<AccessLog, "dropped"> | null;
}

/** One metric with its samples, structured-cloneable. */
export type MetricData = Omit<MetricObjectWithValues<MetricValue<string>>, "collect">;

/** A scope's snapshot in force. */
interface SnapshotState {
  version: number;
  /** Milliseconds since the epoch when it was swapped in. */
  appliedAt: number;
}

/** One registry per proxy, prefix `lgw_`. */
export class ProxyMetrics {
  readonly requests: RequestStats;
  readonly streams: StreamStats = new StreamStats();
  /** Workers that ended and were started again. */
  workerRestarts = 0;
  readonly registry: Registry = new Registry();
  readonly #snapshots = new Map<string, SnapshotState>();
  readonly #applyErrors: Counter<"reason">;
  readonly #clock: Pick<Clock, "now">;

  constructor(options: ProxyMetricsOptions) {
    this.#clock = options.clock;
    const stats = new RequestStats(
      options.maxSeries === undefined ? {} : { maxSeries: options.maxSeries },
    );
    this.requests = stats;
    const registers = [this.registry];
    this.#applyErrors = new Counter({
      name: "lgw_snapshot_apply_errors_total",
      help: "Snapshots refused, by reason; the last good one stays in force",
      labelNames: ["reason"],
      registers,
    });
    new Counter({
      name: "lgw_proxy_requests_total",
      help: "Requests answered",
      labelNames: [
        "gateway",
        "listener",
        "route_kind",
        "route_namespace",
        "route_name",
        "route_rule",
        "backend",
        "code",
        "code_class",
        "grpc_status",
      ],
      registers,
      collect() {
        this.reset();
        for (const series of stats.series()) {
          const { labels, code, grpcStatus } = series;
          this.inc({
            gateway: labels.gateway,
            listener: labels.listener,
            route_kind: labels.routeKind,
            route_namespace: labels.routeNamespace,
            route_name: labels.routeName,
            route_rule: labels.rule,
            backend: series.backend,
            code: String(code),
            code_class: `${Math.floor(code / 100)}xx`,
            grpc_status: grpcStatus === null ? "" : String(grpcStatus),
          }, series.value);
        }
      },
    });
    registers[0]!.registerMetric(
      durations(
        "lgw_proxy_request_duration_seconds",
        "From the head of a request to the answer's end",
        () => [...stats.gateways()].map(([gateway, of]) => [gateway, of.request]),
      ),
    );
    registers[0]!.registerMetric(
      durations(
        "lgw_proxy_upstream_duration_seconds",
        "From sending a request to the head of the endpoint's answer",
        () => [...stats.gateways()].map(([gateway, of]) => [gateway, of.upstream]),
      ),
    );
    this.#gauge(
      "lgw_proxy_active_connections",
      "Open client connections",
      () => options.connections?.() ?? 0,
    );
    this.#gauge("lgw_proxy_inflight_requests", "Requests being handled", () => stats.inflight);
    this.#counter(
      "lgw_proxy_upstream_retries_total",
      "Requests sent again on a fresh connection",
      () => stats.retries,
    );
    this.#counter(
      "lgw_proxy_timeouts_total",
      "Requests that ran into a timeout",
      () => stats.timeouts,
    );
    this.#gauge(
      "lgw_proxy_tunnels",
      "Connections that switched to another protocol, such as WebSocket",
      () => stats.tunnels,
    );
    this.#counter(
      "lgw_proxy_tunnel_received_bytes_total",
      "Bytes that clients sent through tunnels that have ended",
      () => stats.tunnelBytesIn,
    );
    this.#counter(
      "lgw_proxy_tunnel_sent_bytes_total",
      "Bytes that clients were sent through tunnels that have ended",
      () => stats.tunnelBytesOut,
    );
    registerStreamMetrics(this.registry, this.streams);
    registerHealthMetrics(this.registry, options.endpoints ?? (() => []));
    this.#counter(
      "lgw_proxy_name_resolution_failures_total",
      "Host names of endpoints that could not be resolved when they were due; the last good stay",
      () => stats.nameFailures,
    );
    const { accessLog } = options;
    if (accessLog !== undefined && accessLog !== null) {
      this.#counter(
        "lgw_proxy_access_log_dropped_total",
        "Access log lines lost: the queue was full, or the sink failed",
        () => accessLog.dropped,
      );
    }
    this.#counter(
      "lgw_proxy_worker_restarts_total",
      "Workers that ended by themselves and were started again",
      () => this.workerRestarts,
    );
    this.#counter(
      "lgw_proxy_series_overflow_total",
      "Series counted under __other__",
      () => stats.overflow,
    );
    this.#labelled("lgw_proxy_upstream_errors_total", "Failed exchanges with endpoints", {
      label: "reason",
      values: stats.upstreamErrors,
    });
    this.#labelled("lgw_proxy_route_retries_total", "Requests sent again as their route says", {
      label: "reason",
      values: stats.routeRetries,
    });
    this.#labelled("lgw_proxy_failovers_total", "Requests sent to another endpoint of the set", {
      label: "reason",
      values: stats.failovers,
    });
    this.#labelled("lgw_proxy_mirrors_total", "Copies of requests, by what became of them", {
      label: "outcome",
      values: stats.mirrors,
    });
    this.#labelled("lgw_proxy_limit_exceeded_total", "What a limit stopped", {
      label: "limit",
      values: stats.limits,
    });
    const snapshots = this.#snapshots;
    const clock = this.#clock;
    new Gauge({
      name: "lgw_snapshot_version",
      help: "Version of the snapshot in force",
      labelNames: ["scope"],
      // Of workers the one that is behind counts.
      aggregator: "min",
      registers,
      collect() {
        this.reset();
        for (const [scope, state] of snapshots) this.set({ scope }, state.version);
      },
    });
    new Gauge({
      name: "lgw_snapshot_age_seconds",
      help: "Time since the snapshot in force was swapped in",
      labelNames: ["scope"],
      aggregator: "max",
      registers,
      collect() {
        this.reset();
        for (const [scope, state] of snapshots) {
          this.set({ scope }, Math.max(0, (clock.now() - state.appliedAt) / 1000));
        }
      },
    });
  }

  /** A scope's snapshot was swapped in. */
  snapshotApplied(scope: string, version: number): void {
    this.#snapshots.set(scope, { version, appliedAt: this.#clock.now() });
  }

  /** A scope is gone: its series go with it. */
  snapshotRemoved(scope: string): void {
    this.#snapshots.delete(scope);
    this.requests.removeGateway(scope);
    this.streams.removeGateway(scope);
  }

  /** A snapshot was refused. */
  applyError(reason: string): void {
    this.#applyErrors.inc({ reason });
  }

  /** Every metric as data, to be summed with those of other workers. */
  async json(): Promise<MetricData[]> {
    const metrics = await this.registry.getMetricsAsJSON();
    return metrics.map(({ name, help, type, aggregator, values }) => ({
      name,
      help,
      type,
      aggregator,
      values,
    }));
  }

  /** The exposition text (Prometheus text format 0.0.4) and its content type. */
  async expose(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.registry.contentType, text: await this.registry.metrics() };
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(value());
      },
    });
  }

  #counter(name: string, help: string, value: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }

  #labelled(
    name: string,
    help: string,
    of: { label: string; values: ReadonlyMap<string, number> },
  ): void {
    new Counter({
      name,
      help,
      labelNames: [of.label],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [value, count] of of.values) this.inc({ [of.label]: value }, count);
      },
    });
  }
}

type Samples = () => [string, DurationHistogram][];

/** A histogram whose samples are written out of our own buckets, cumulative as Prometheus reads them. */
function durations(name: string, help: string, samples: Samples): Histogram<string> {
  return new OwnHistogram({ name, help, samples });
}

class OwnHistogram extends Histogram<string> {
  readonly #samples: Samples;
  readonly #name: string;
  readonly #help: string;

  constructor(options: { name: string; help: string; samples: Samples }) {
    super({ name: options.name, help: options.help, labelNames: ["gateway"], registers: [] });
    this.#samples = options.samples;
    this.#name = options.name;
    this.#help = options.help;
  }

  /** What prom-client reads, for text and data alike. */
  getForPromString() {
    const values: {
      labels: Record<string, string | number>;
      sharedLabels: Record<string, string>;
      value: number;
      metricName: string;
    }[] = [];
    const sample = (suffix: string, labels: Record<string, string | number>, value: number) =>
      values.push({ labels, sharedLabels: {}, value, metricName: `${this.#name}_${suffix}` });
    for (const [gateway, histogram] of this.#samples()) {
      let total = 0;
      for (let i = 0; i < DURATION_BOUNDS.length; i++) {
        total += histogram.buckets[i]!;
        sample("bucket", { gateway, le: DURATION_BOUNDS[i]! }, total);
      }
      sample("bucket", { gateway, le: "+Inf" }, histogram.count);
      sample("sum", { gateway }, histogram.sum);
      sample("count", { gateway }, histogram.count);
    }
    return Promise.resolve({
      name: this.#name,
      help: this.#help,
      type: "histogram",
      values,
      aggregator: "sum",
    });
  }
}
