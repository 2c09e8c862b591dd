import { assert, assertEquals } from "@std/assert";
import { type AccessEntry, AccessLog } from "./access_log.ts";
import type { ObservedSet } from "./health_metrics.ts";
import { ProxyMetrics } from "./metrics.ts";
import { RequestStats } from "./request_stats.ts";

const LABELS = {
  gateway: "gateway/d/g",
  listener: "http",
  routeKind: "HTTPRoute",
  routeNamespace: "d",
  routeName: "r",
  rule: "0",
} as const;

const ENTRY: AccessEntry = {
  start_time: "2026-01-01T00:00:00.000Z",
  method: "GET",
  host: "h",
  path: "/\n",
  protocol: "HTTP/1.1",
  status: 200,
  reason: "ok",
  duration_ms: 1,
  upstream_duration_ms: 1,
  bytes_in: 0,
  bytes_out: 0,
  client: "",
  upstream: "",
  attempts: 1,
  gateway: "",
  listener: "",
  route: "",
  rule: "",
  backend: "",
  snapshot_version: 1,
  trace_id: "",
  request_id: "",
  correlation_id: "",
  sni: "",
};

Deno.test("ProxyMetrics.expose() shows what the request path counted", async () => {
  let now = 10_000;
  const metrics = new ProxyMetrics({ clock: { now: () => now }, connections: () => 3 });
  const { requests } = metrics;
  const backend = requests.backend(LABELS, "d/s");
  backend.count(200);
  backend.count(200);
  backend.count(503);
  requests.gateway("gateway/d/g").request.observe(2);
  requests.gateway("gateway/d/g").request.observe(90_000);
  requests.upstreamError("connect");
  requests.limitExceeded("max_head_bytes");
  requests.retries = 4;
  metrics.snapshotApplied("gateway/d/g", 9);
  metrics.applyError("bad_signature");
  now += 5_000;
  const { text, contentType } = await metrics.expose();
  assert(contentType.startsWith("text/plain"));
  const route = 'gateway="gateway/d/g",listener="http",route_kind="HTTPRoute",' +
    'route_namespace="d",route_name="r",route_rule="0"';
  for (
    const line of [
      `lgw_proxy_requests_total{${route},backend="d/s",code="200",code_class="2xx",grpc_status=""} 2`,
      `lgw_proxy_requests_total{${route},backend="d/s",code="503",code_class="5xx",grpc_status=""} 1`,
      'lgw_proxy_request_duration_seconds_bucket{gateway="gateway/d/g",le="0.0025"} 1',
      'lgw_proxy_request_duration_seconds_bucket{gateway="gateway/d/g",le="+Inf"} 2',
      'lgw_proxy_request_duration_seconds_sum{gateway="gateway/d/g"} 90.002',
      'lgw_proxy_request_duration_seconds_count{gateway="gateway/d/g"} 2',
      "lgw_proxy_active_connections 3",
      "lgw_proxy_inflight_requests 0",
      'lgw_proxy_upstream_errors_total{reason="connect"} 1',
      "lgw_proxy_upstream_retries_total 4",
      "lgw_proxy_timeouts_total 0",
      'lgw_proxy_limit_exceeded_total{limit="max_head_bytes"} 1',
      'lgw_snapshot_version{scope="gateway/d/g"} 9',
      'lgw_snapshot_age_seconds{scope="gateway/d/g"} 5',
      'lgw_snapshot_apply_errors_total{reason="bad_signature"} 1',
    ]
  ) assert(text.split("\n").includes(line), `${line}\nis not in\n${text}`);
  // A second scrape must not add up.
  assertEquals((await metrics.expose()).text, text);
});

Deno.test("ProxyMetrics.expose() shows lost log lines when there is an access log", async () => {
  const clock = { now: () => 0 };
  const name = "lgw_proxy_access_log_dropped_total";
  const accessLog = { dropped: 0 };
  const metrics = new ProxyMetrics({ clock, accessLog });
  accessLog.dropped = 3;
  assert((await metrics.expose()).text.split("\n").includes(`${name} 3`));
  const without = new ProxyMetrics({ clock, accessLog: null });
  assert(!(await without.expose()).text.includes(name));
});

Deno.test("ProxyMetrics.expose() shows the health of sets of which there is something to tell", async () => {
  const set = (key: string, connection: number, opens = 0): ObservedSet => [key, {
    health: {
      ejected: connection,
      ejections: { connection, gateway: 0, probe: 0 },
      withheld: 0,
      panics: 0,
    },
    load: { opens: { requests: opens, pending: 0, connections: 0, endpoint_pending: 0 } },
  }];
  const sets = [set("ns/quiet/80", 0), set("ns/busy/80", 0, 3)];
  for (let i = 0; i < 600; i++) sets.push(set(`ns/s${i}/80`, 1));
  const metrics = new ProxyMetrics({ clock: { now: () => 0 }, endpoints: () => sets });
  const lines = (await metrics.expose()).text.split("\n");
  for (
    const line of [
      'lgw_proxy_circuit_breaker_opens_total{endpoints="ns/busy/80",breaker="requests"} 3',
      'lgw_proxy_endpoint_ejections_total{endpoints="ns/s0/80",cause="connection"} 1',
      'lgw_proxy_endpoint_ejections_total{endpoints="__other__",cause="connection"} 101',
      'lgw_proxy_endpoints_ejected{endpoints="ns/s0/80"} 1',
      'lgw_proxy_endpoints_ejected{endpoints="__other__"} 101',
    ]
  ) assert(lines.includes(line), line);
  assert(!lines.some((line) => line.includes("quiet")));
});

Deno.test("ProxyMetrics.snapshotRemoved() forgets a Gateway's series", async () => {
  const metrics = new ProxyMetrics({ clock: { now: () => 0 } });
  metrics.requests.backend(LABELS, "d/s").count(200);
  metrics.requests.gateway(LABELS.gateway).request.observe(1);
  metrics.snapshotApplied(LABELS.gateway, 1);
  metrics.snapshotRemoved(LABELS.gateway);
  assert(!(await metrics.expose()).text.includes("gateway/d/g"));
});

Deno.test("RequestStats bounds its series and counts the rest together", () => {
  const stats = new RequestStats({ maxSeries: 3 });
  for (let i = 0; i < 10; i++) {
    stats.backend({ ...LABELS, routeName: `r${i}` }, "d/s").count(200);
    stats.gateway(`gateway/d/g${i}`).request.observe(1);
  }
  const series = [...stats.series()];
  assertEquals(series.length, 4);
  assertEquals(series.at(-1)!.labels.routeName, "__other__");
  assertEquals(series.at(-1)!.value, 7);
  assertEquals(stats.overflow, 7);
  assertEquals([...stats.gateways()].length, 4);
});

Deno.test("RequestStats tells calls apart by their own status", () => {
  const stats = new RequestStats();
  const backend = stats.backend({ ...LABELS, routeKind: "GRPCRoute" }, "d/s");
  backend.count(200, 0);
  backend.count(200, 14);
  backend.count(200, 0);
  const counted = [...stats.series()].map(({ grpcStatus, value }) => [grpcStatus, value]);
  assertEquals(counted, [[0, 2], [14, 1]]);
});

Deno.test("RequestStats keeps one series for a rule over table swaps", () => {
  const stats = new RequestStats();
  stats.backend(LABELS, "d/s").count(200);
  stats.backend({ ...LABELS }, "d/s").count(200);
  assertEquals([...stats.series()].map((series) => series.value), [2]);
});

Deno.test("AccessLog writes whole JSON lines in batches", async () => {
  const writes: string[] = [];
  const log = new AccessLog({
    sink: {
      write(bytes) {
        writes.push(new TextDecoder().decode(bytes));
        return Promise.resolve();
      },
    },
  });
  log.write(ENTRY);
  log.write(ENTRY);
  await log.flush();
  assertEquals(writes.length, 1);
  assertEquals(writes[0]!.trimEnd().split("\n").map((line) => JSON.parse(line)), [ENTRY, ENTRY]);
});

Deno.test("AccessLog drops and counts what its queue or its sink does not take", async () => {
  const open = Promise.withResolvers<void>();
  let fail = false;
  const log = new AccessLog({
    maxQueued: 2,
    sink: {
      async write() {
        await open.promise;
        if (fail) throw new Error("disk full");
      },
    },
  });
  for (let i = 0; i < 5; i++) log.write(ENTRY);
  assertEquals(log.dropped, 3);
  open.resolve();
  await log.flush();
  fail = true;
  log.write(ENTRY);
  await log.flush();
  assertEquals(log.dropped, 4);
});
