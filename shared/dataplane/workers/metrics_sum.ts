/** The metrics of several isolates as those of one proxy. */
import { AggregatorRegistry, Registry } from "prom-client";
import type { MetricData } from "../observe/metrics.ts";

/**
 * Sums counters and histograms, and takes of a gauge what its `aggregator` says. The result is
 * Prometheus text (format 0.0.4) with its content type.
 */
export async function sumMetrics(
  parts: readonly MetricData[][],
): Promise<{ contentType: string; text: string }> {
  const sum = AggregatorRegistry.aggregate([...parts]);
  return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text: await sum.metrics() };
}
