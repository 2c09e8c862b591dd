/** Sends a request to one endpoint, within the route's timeouts. */
import { UpstreamError } from "../upstream/errors.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/exchange.ts";
import type { Place } from "../upstream/place.ts";
import type { RequestHead } from "../upstream/request_head.ts";
import { verdictOfAnswer, verdictOfError } from "../upstream/verdict.ts";
import { COLLECT_BYTES, collectBody, CountedBody, RequestBodyError } from "./body.ts";
import { RequestFailure } from "./failures.ts";
import { sendElsewhere } from "./failover.ts";
import type { RequestCore } from "./handle.ts";
import type { Mirrors } from "./mirror.ts";
import { sendWithRetries } from "./retry.ts";
import { noteUpstream } from "./span.ts";
import { grpcTimeout } from "./grpc.ts";
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
 * One attempt against one endpoint, and as many more as the route's retry allows.
 *
 * @throws RequestFailure, RequestBodyError or UpstreamError: see failures.ts
 */
export async function forward(
  core: RequestCore,
  record: RequestRecord,
  options: ForwardOptions,
): Promise<UpstreamResponse> {
  const { head, mirrors } = options;
  const { rule } = options.plan;
  const { backend } = options.backend;
  const { retry } = rule;
  const first = core.endpoints.pick(backend.endpoints);
  if (first === undefined) throw new RequestFailure("no_endpoints");
  if (!first.load.admitRequest()) throw new RequestFailure("circuit_open");
  record.load = first.load;
  record.upstream = `${first.address}:${first.port}`;

  const limit = requestLimit(record, rule.requestTimeout);
  if (limit > 0) record.startDeadline(core.upstream.deadlines, limit);
  const received = record.request.body;
  const source = received === null ? null : record.web?.translateBody(received) ?? received;
  let body = source === null ? null : await prepareBody(core, record, source);
  if (record.ended !== null) throw record.ended;

  if (rule.mirrors.length > 0) body = mirrors.start(rule.mirrors, { head, body });
  if (backend.mirrors.length > 0) body = mirrors.start(backend.mirrors, { head, body });
  const request: UpstreamRequest = { ...head, body };
  // Both sides of a call may think for long before the next message.
  if (record.candidate?.calls) request.idle = core.limits.tunnelIdleTimeout;
  const sentAt = core.clock.monotonic();
  try {
    const send = (place: Place) => attempt(core, record, { place, request, options });
    const { endpoints } = backend;
    if (retry === null) {
      try {
        return await send(first);
      } catch (error) {
        return await sendElsewhere(core, record, { error, endpoints, first, request, send });
      }
    }
    // An explicit 0 means that nothing goes out twice, stale connections included.
    request.once = retry.attempts === 0;
    return await sendWithRetries(core, record, { retry, endpoints, first, request, send });
  } catch (error) {
    // What copies a streamed body must not wait for what nobody reads any more.
    if (body !== null && !(body instanceof Uint8Array)) body.cancel(error);
    throw error;
  } finally {
    record.upstreamMs = core.clock.monotonic() - sentAt;
  }
}

/** Sends the request to one endpoint, whose health it tells of what came of it. */
async function attempt(
  core: RequestCore,
  record: RequestRecord,
  { place, request, options }: { place: Place; request: UpstreamRequest; options: ForwardOptions },
): Promise<UpstreamResponse> {
  record.attempts++;
  record.upstream = `${place.address}:${place.port}`;
  if (record.span !== null) noteUpstream(record.span, place);
  const { epoch } = place;
  const { protocol, tls } = options.backend.backend;
  const profile = tls === null ? null : core.tls.get(tls);
  if (profile === undefined) throw incomplete();
  const client = protocol === "h2c" ? core.upstreamHttp2 : core.upstream;
  const exchange = client.exchange(place, request, profile);
  record.exchange = exchange;
  const { backendRequestTimeout } = options.plan.rule;
  if (backendRequestTimeout > 0) {
    record.startAttempt(core.upstream.deadlines, backendRequestTimeout);
  }
  try {
    const response = await exchange.response;
    place.report(verdictOfAnswer(response, { call: record.candidate?.calls === true }), epoch);
    return response;
  } catch (error) {
    place.report(verdictOfError(error), epoch);
    throw error;
  }
}

/** Never plaintext instead, and never unverified. */
function incomplete(): UpstreamError {
  return new UpstreamError("tls_incomplete", "authorities or own certificate are not here", {
    unprocessed: true,
  });
}

/** The lower of two bounds; 0 = none. */
function lowest(a: number, b: number): number {
  return a === 0 || b === 0 ? Math.max(a, b) : Math.min(a, b);
}

/** Small bodies are collected, so that they cost one write and can be sent twice. */
async function prepareBody(
  core: RequestCore,
  record: RequestRecord,
  source: BodyReader,
): Promise<Uint8Array | BodyReader> {
  const max = lowest(core.limits.maxBodyBytes, record.listener?.maxBodyBytes ?? 0);
  if (max > 0 && source.length > max) throw new RequestBodyError("too_large");
  if (source.length >= 0 && source.length <= COLLECT_BYTES) {
    record.bytesIn = source.length;
    return await collectBody(source);
  }
  record.streamed = new CountedBody(source, max);
  return record.streamed;
}

/** Milliseconds for the whole exchange; 0 = no limit. A call says itself how long it is wanted. */
function requestLimit({ candidate, request }: RequestRecord, ofRule: number): number {
  const asked = candidate?.calls ? grpcTimeout(request.headers) : 0;
  if (asked === 0 || ofRule === 0) return asked + ofRule;
  return Math.min(asked, ofRule);
}
