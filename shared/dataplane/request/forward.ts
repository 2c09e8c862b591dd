/** Sends a request to one endpoint, within the route's timeouts. */
import type { UpstreamResponse } from "../upstream/exchange.ts";
import type { RequestHead } from "../upstream/request_head.ts";
import { COLLECT_BYTES, collectBody, CountedBody, RequestBodyError } from "./body.ts";
import { RequestFailure } from "./failures.ts";
import type { RequestCore } from "./handle.ts";
import type { Mirrors } from "./mirror.ts";
import { noteUpstream } from "./span.ts";
import type { RequestRecord } from "./record.ts";
import type { BackendPlan, RulePlan } from "./rule_plan.ts";
import type { BodyReader } from "./types.ts";

interface ForwardOptions {
  head: RequestHead;
  plan: RulePlan;
  backend: BackendPlan;
  mirrors: Mirrors;
}

/**
 * One attempt against one endpoint.
 *
 * @throws RequestFailure, RequestBodyError or UpstreamError: see failures.ts
 */
export async function forward(
  core: RequestCore,
  record: RequestRecord,
  options: ForwardOptions,
): Promise<UpstreamResponse> {
  const { rule } = options.plan;
  const { backend } = options.backend;
  const endpoint = core.endpoints.pick(backend.endpoints);
  if (endpoint === undefined) throw new RequestFailure("no_endpoints");
  record.upstream = `${endpoint.address}:${endpoint.port}`;
  if (record.span !== null) noteUpstream(record.span, endpoint);

  if (rule.requestTimeout > 0) {
    record.startDeadline(core.upstream.deadlines, rule.requestTimeout);
  }
  const source = record.request.body;
  let body = source === null ? null : await prepareBody(core, record, source);
  if (record.ended !== null) throw record.ended;

  const { head, mirrors } = options;
  for (const targets of [rule.mirrors, backend.mirrors]) {
    if (targets.length > 0) body = mirrors.start(targets, { head, body });
  }
  const sentAt = core.clock.monotonic();
  const client = backend.protocol === "h2c" ? core.upstreamHttp2 : core.upstream;
  const exchange = client.exchange(endpoint, { ...head, body });
  record.exchange = exchange;
  if (rule.backendRequestTimeout > 0) {
    record.startAttempt(core.upstream.deadlines, rule.backendRequestTimeout);
  }
  try {
    return await exchange.response;
  } finally {
    record.upstreamMs = core.clock.monotonic() - sentAt;
  }
}

/** Small bodies are collected, so that they cost one write and can be sent twice. */
async function prepareBody(
  core: RequestCore,
  record: RequestRecord,
  source: BodyReader,
): Promise<Uint8Array | BodyReader> {
  const max = core.limits.maxBodyBytes;
  if (max > 0 && source.length > max) throw new RequestBodyError("too_large");
  if (source.length >= 0 && source.length <= COLLECT_BYTES) {
    record.bytesIn = source.length;
    return await collectBody(source);
  }
  record.streamed = new CountedBody(source, max);
  return record.streamed;
}
