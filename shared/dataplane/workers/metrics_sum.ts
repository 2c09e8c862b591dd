/** The metrics of several isolates as those of one proxy. */
import { AggregatorRegistry, Registry } from "prom-client";
import type { MetricData } from "../observe/metrics.ts";

/** Series of the metric with labels per route: the bound of one proxy, whatever its workers have. */
const MAX_REQUEST_SERIES = 2000;
const REQUESTS = "lgw_proxy_requests_total";
/** What a request came to, which is kept of those that are counted together. */
const RESULT = new Set(["code", "code_class", "grpc_status"]);
const OVERFLOW = "lgw_proxy_series_overflow_total";

/**
 * Sums counters and histograms, and takes of a gauge what its `aggregator` says. The result is
 * Prometheus text (format 0.0.4) with its content type.
 */
export async function sumMetrics(
  parts: readonly MetricData[][],
): Promise<{ contentType: string; text: string }> {
  const sum = AggregatorRegistry.aggregate(bounded(parts));
  return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text: await sum.metrics() };
}

/**
 * Every worker keeps within the bound, but two may have met different routes: what is beyond it is
 * counted together, under `__other__` and by result, as a worker does it.
 */
function bounded(parts: readonly MetricData[][]): MetricData[][] {
  const kept = new Set<string>();
  const folded = new Set<string>();
  const result = parts.map((metrics) =>
    metrics.map((metric) => {
      if (metric.name !== REQUESTS) return metric;
      return {
        ...metric,
        values: metric.values.map((sample) => {
          const key = JSON.stringify(sample.labels);
          if (kept.has(key) || kept.size < MAX_REQUEST_SERIES) {
            kept.add(key);
            return sample;
          }
          folded.add(key);
          const labels = Object.fromEntries(
            Object.entries(sample.labels).map((
              [name, value],
            ) => [name, RESULT.has(name) ? value : "__other__"]),
          );
          return { ...sample, labels };
        }),
      };
    })
  );
  const overflow = result[0]?.find(({ name }) => name === OVERFLOW)?.values[0];
  if (overflow !== undefined) overflow.value += folded.size;
  return result;
}
