/**
 * The span of a request (OpenTelemetry, semantic conventions for HTTP servers), with the identity of
 * the Gateway API's objects. Without an SDK the API gives spans that record nothing; then no span is
 * kept, and the request costs one call.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Attributes, Context, Span, SpanContext, Tracer } from "@opentelemetry/api";
import { headerIndex } from "../table/match.ts";
import { isTraceparent } from "./trace.ts";
import type { RequestRecord } from "./record.ts";
import type { HeaderList, InboundRequest } from "./types.ts";

/** Starts the span of a request as a child of its caller's; null when nobody records. */
export function startSpan(tracer: Tracer, request: InboundRequest): Span | null {
  const span = tracer.startSpan(request.method, { kind: SpanKind.SERVER }, parentOf(request));
  return span.isRecording() ? span : null;
}

function parentOf({ headers }: InboundRequest): Context {
  let traceparent = "";
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === "traceparent") traceparent = traceparent === "" ? headers[i + 1]! : "-";
  }
  if (!isTraceparent(traceparent)) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53, 55), 16),
    isRemote: true,
  });
}

/** Makes the backend's span a child of this one, in place of the caller's. */
export function propagateSpan(headers: HeaderList, span: Span): string {
  const { traceId, spanId, traceFlags }: SpanContext = span.spanContext();
  const value = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  const at = headerIndex(headers, "traceparent");
  if (at === -1) headers.push("traceparent", value);
  else headers[at + 1] = value;
  return traceId;
}

/** Codes of calls that are the server's fault (OpenTelemetry, semantic conventions for gRPC). */
const SERVER_FAULTS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** Ends the span with everything that is known by then. Queries and header values are left out. */
export function finishSpan(span: Span, record: RequestRecord): void {
  const { candidate, request, reason, status, grpcStatus } = record;
  if (candidate !== null) span.updateName(`${request.method} ${candidate.path}`);
  span.setAttributes(attributesOf(record));
  if (record.exchange?.retried === true) span.addEvent("upstream.retried");
  const failed = grpcStatus === null
    ? reason !== "ok" && (status >= 500 || status === 0)
    : SERVER_FAULTS.has(grpcStatus);
  if (failed) {
    const message = reason === "ok" ? `grpc-status ${grpcStatus}` : reason;
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  }
  span.end();
}

/** Notes which endpoint was chosen. */
export function noteUpstream(span: Span, endpoint: { address: string; port: number }): void {
  span.addEvent("upstream.selected", {
    "server.address": endpoint.address,
    "server.port": endpoint.port,
  });
}

/** Notes that the request is going to be sent again. */
export function noteRetry(span: Span, retry: { attempt: number; reason: string }): void {
  span.addEvent("upstream.retry", {
    "http.request.resend_count": retry.attempt,
    "retry.reason": retry.reason,
  });
}

function attributesOf(record: RequestRecord) {
  const { request, candidate, host, path, reason, status, grpcStatus, backend } = record;
  const { connection } = request;
  const [, namespace = "", name = ""] = connection.scope.split("/");
  const attributes: Attributes = {
    "gateway.namespace": namespace,
    "gateway.name": name,
    "http.request.method": request.method,
    "http.response.status_code": status,
    "url.scheme": connection.scheme,
    "url.path": path,
    "server.address": host,
    "server.port": connection.port,
    "client.address": connection.remoteAddress,
    "network.protocol.version": request.httpVersion,
    "lgw.snapshot.version": connection.snapshotVersion(),
  };
  if (reason !== "ok") attributes["error.type"] = reason;
  if (grpcStatus !== null) {
    attributes["rpc.system"] = "grpc";
    attributes["rpc.grpc.status_code"] = grpcStatus;
  }
  if (candidate === null) return attributes;
  const { rule, listener } = candidate;
  attributes["listener.name"] = listener.name;
  attributes["http.route"] = candidate.path;
  attributes["route.namespace"] = rule.routeNamespace;
  attributes["route.name"] = rule.routeName;
  attributes["route.rule"] = rule.rule;
  if (backend === "") return attributes;
  const slash = backend.indexOf("/");
  attributes["backend.service.namespace"] = backend.slice(0, slash);
  attributes["backend.service.name"] = backend.slice(slash + 1);
  return attributes;
}
