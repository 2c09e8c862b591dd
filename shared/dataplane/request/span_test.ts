import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { trace } from "@opentelemetry/api";
import { refusingPort } from "../upstream/testing_origin.ts";
import { withCore } from "./testing_core.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function recording() {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  return { exporter, tracer: provider.getTracer("test") };
}

/** What the backend got, which echoes the request's head. */
function traceparentIn(body: string): string {
  return /\r\ntraceparent: (\S+)/.exec(body)?.[1] ?? "";
}

Deno.test("a request's span names Gateway, listener, route, rule and backend, and its parent", async () => {
  const { exporter, tracer } = recording();
  await withCore({ rules: [{ name: "v1" }], tracer }, async ({ ask }) => {
    const answer = await ask({
      target: "/items?token=secret",
      headers: ["traceparent", PARENT, "authorization", "Bearer secret"],
    });
    assertEquals(answer.status, 200);
    const [span] = exporter.getFinishedSpans();
    assert(span !== undefined);
    assertEquals(span.name, "GET /");
    assertEquals(span.parentSpanContext?.spanId, "b7ad6b7169203331");
    assertEquals(span.spanContext().traceId, "0af7651916cd43dd8448eb211c80319c");
    const { attributes } = span;
    assertEquals(
      [
        "gateway.namespace",
        "gateway.name",
        "listener.name",
        "route.namespace",
        "route.name",
        "route.rule",
        "backend.service.namespace",
        "backend.service.name",
        "http.response.status_code",
        "url.path",
      ].map((name) => attributes[name]),
      ["d", "g", "http", "d", "r", "v1", "d", "a", 200, "/items"],
    );
    assertEquals(span.events.map(({ name }) => name), ["upstream.selected"]);
    assert(!JSON.stringify([span.name, attributes, span.events]).includes("secret"));
  });
});

Deno.test("a call's span has its own status", async () => {
  const { exporter, tracer } = recording();
  await withCore(
    { rules: [{}], kind: "grpcroute", backends: { a: null }, tracer },
    async (core) => {
      await core.ask({ method: "POST", headers: ["content-type", "application/grpc"] });
      const [span] = exporter.getFinishedSpans();
      assertEquals(span?.attributes["rpc.system"], "grpc");
      assertEquals(span?.attributes["rpc.grpc.status_code"], 14);
      assertEquals(span?.status.message, "no_endpoints");
    },
  );
});

Deno.test("the backend's span becomes a child of the request's", async () => {
  const { exporter, tracer } = recording();
  await withCore({ rules: [{}], tracer }, async ({ ask }) => {
    const { body } = await ask({ headers: ["traceparent", PARENT] });
    const [span] = exporter.getFinishedSpans();
    assert(span !== undefined);
    const { traceId, spanId } = span.spanContext();
    assertEquals(traceparentIn(body), `00-${traceId}-${spanId}-01`);
  });
});

Deno.test("a header with the value `traceparent` is no traceparent", async () => {
  const { exporter, tracer } = recording();
  await withCore({ rules: [{}], tracer }, async ({ ask }) => {
    const { body } = await ask({ headers: ["x-q", "traceparent"] });
    const [span] = exporter.getFinishedSpans();
    assert(span !== undefined);
    assertEquals(body.match(/\r\ntraceparent: /g)?.length, 1);
    assertEquals(traceparentIn(body).slice(3, 35), span.spanContext().traceId);
  });
});

Deno.test("a failed request's span says why", async () => {
  const { exporter, tracer } = recording();
  await withCore({ rules: [{}], backends: { a: null }, tracer }, async ({ ask }) => {
    assertEquals((await ask()).status, 503);
    const [span] = exporter.getFinishedSpans();
    assertEquals(span?.attributes["error.type"], "no_endpoints");
    assertEquals(span?.status.message, "no_endpoints");
  });
});

Deno.test("without an SDK nothing is recorded, and trace context passes as it came", async () => {
  await withCore({ rules: [{}], tracer: trace.getTracer("none") }, async ({ ask, log }) => {
    const { body } = await ask({ headers: ["traceparent", PARENT] });
    assertEquals(traceparentIn(body), PARENT);
    const [line] = await log();
    assertMatch(String(line?.trace_id), /^0af7651916cd43dd8448eb211c80319c$/);
  });
});

Deno.test("a span has an event for every retry", async () => {
  const { exporter, tracer } = recording();
  const rules = [{ retry: { attempts: 2, codes: [], backoff: 1 } }];
  await withCore({ rules, backends: { a: refusingPort() }, tracer }, async ({ ask }) => {
    assertEquals((await ask()).status, 503);
  });
  const events = exporter.getFinishedSpans()[0]?.events.map(({ name, attributes }) => [
    name,
    attributes?.["http.request.resend_count"],
  ]);
  assertEquals(events, [
    ["upstream.selected", undefined],
    ["upstream.retry", 1],
    ["upstream.selected", undefined],
    ["upstream.retry", 2],
    ["upstream.selected", undefined],
  ]);
});
