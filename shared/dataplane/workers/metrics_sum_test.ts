import { assert, assertEquals } from "@std/assert";
import { ProxyMetrics } from "../observe/metrics.ts";
import { sumMetrics } from "./metrics_sum.ts";

/** Metrics of a worker that answered once for each of `count` routes, from `first` on. */
function worker(first: number, count: number): ProxyMetrics {
  const metrics = new ProxyMetrics({ clock: { now: () => 0 } });
  for (let i = first; i < first + count; i++) {
    const labels = {
      gateway: "gateway/ns/gw",
      listener: "http",
      routeKind: "HTTPRoute" as const,
      routeNamespace: "ns",
      routeName: `r${i}`,
      rule: "0",
    };
    metrics.requests.backend(labels, "ns/b").count(200);
  }
  return metrics;
}

Deno.test("sumMetrics() adds what workers counted, within the bound of one proxy", async () => {
  const parts = await Promise.all([worker(0, 1500), worker(1000, 1500)].map((m) => m.json()));
  const { text } = await sumMetrics(parts);
  const requests = text.split("\n").filter((line) => line.startsWith("lgw_proxy_requests_total{"));
  // 2000 of their own, and one for the rest.
  assertEquals(requests.length, 2001);
  const value = (line: string | undefined) => Number(line?.split(" ").at(-1));
  assertEquals(value(requests.find((line) => line.includes('route_name="r1200"'))), 2);
  assertEquals(value(requests.find((line) => line.includes("__other__"))), 500);
  assertEquals(requests.reduce((sum, line) => sum + value(line), 0), 3000);
  assert(text.includes("lgw_proxy_series_overflow_total 500"));
  assert(text.includes("# TYPE lgw_proxy_circuit_breaker_opens_total counter"));
});
