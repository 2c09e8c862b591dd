/** Where spans go: whatever SDK is registered with the OpenTelemetry API, Deno's own for instance. */
import { trace } from "@opentelemetry/api";
import type { Tracer } from "@opentelemetry/api";

/** The tracer of requests; without an SDK its spans record nothing. */
export function requestTracer(): Tracer {
  return trace.getTracer("light-k8s-gateway");
}
