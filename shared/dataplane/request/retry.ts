/**
 * HTTPRouteRetry: when a request is sent again, where to, and after which wait.
 *
 * Sent again is what no endpoint can have acted on (the connection failed, or HTTP/2 refused the
 * stream); what was lost unanswered or ran out of time, when doing it twice is harmless; and an
 * answer with a status that the route names, whatever the method. Not sent again is what may have
 * been acted on and must not be twice.
 */
import { backoff } from "../../lib/backoff.ts";
import type { TableRetry } from "../table/types.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { Place } from "../upstream/place.ts";
import { UpstreamError } from "../upstream/errors.ts";
import { isIdempotent, type UpstreamRequest, type UpstreamResponse } from "../upstream/exchange.ts";
import { drain } from "./drain.ts";
import { type LossReason, lossReason } from "./failover.ts";
import type { RequestCore } from "./handle.ts";
import type { RequestRecord } from "./record.ts";
import { noteRetry } from "./span.ts";

/** Why a request is sent again: label `reason` of `lgw_proxy_route_retries_total`. */
export type RetryReason = LossReason | "timeout" | "status";

/** Milliseconds before the first retry of a route that names none. */
const BACKOFF = 25;
/** Waits double up to this many times the first. */
const BACKOFF_GROWTH = 10;
/** Bytes of an answer that is not used, read for the sake of its connection. */
const DRAIN_BYTES = 64 * 1024;

interface RetryOptions {
  retry: TableRetry;
  /** Key of the endpoint set. */
  endpoints: string;
  /** Where the first attempt goes. */
  first: Place;
  request: UpstreamRequest;
  send(endpoint: Place): Promise<UpstreamResponse>;
}

/**
 * Attempts until one is good, or they are used up: then the last answer or failure is the request's.
 *
 * @throws what the last attempt threw; RequestFailure when the request ended between attempts
 */
export async function sendWithRetries(
  core: RequestCore,
  record: RequestRecord,
  options: RetryOptions,
): Promise<UpstreamResponse> {
  const { retry, endpoints, request, send } = options;
  const tried = new Set<Place>();
  let endpoint = options.first;
  for (let retries = 0;; retries++) {
    tried.add(endpoint);
    const result = await outcomeOf(send(endpoint));
    const reason = record.ended !== null || retries >= retry.attempts
      ? null
      : retryReason(result, { retry, request });
    const next = reason === null ? undefined : core.endpoints.pickOther(endpoints, tried);
    if (reason === null || next === undefined) {
      if (result.ok) return result.response;
      throw result.error;
    }
    record.attempt?.stop();
    if (result.ok) void drain(result.response.body, DRAIN_BYTES);
    const { routeRetries } = core.stats;
    routeRetries.set(reason, (routeRetries.get(reason) ?? 0) + 1);
    if (record.span !== null) noteRetry(record.span, { attempt: retries + 1, reason });
    // Another endpoint has nothing to recover from when this one could not even be asked. When all
    // were tried it is one of them again, and `tried` is empty.
    const untried = tried.size > 0;
    if (!untried || reason === "status" || reason === "timeout") {
      await pause(core, record, { retry, retries });
    }
    if (record.ended !== null) throw record.ended;
    endpoint = next;
  }
}

type Result = { ok: true; response: UpstreamResponse } | { ok: false; error: unknown };

async function outcomeOf(sent: Promise<UpstreamResponse>): Promise<Result> {
  try {
    return { ok: true, response: await sent };
  } catch (error) {
    return { ok: false, error };
  }
}

/** Null: the result stands. */
function retryReason(
  result: Result,
  { retry, request }: Pick<RetryOptions, "retry" | "request">,
): RetryReason | null {
  const { body, method } = request;
  const repeatable = body === null || body instanceof Uint8Array;
  if (result.ok) return repeatable && retry.codes.has(result.response.status) ? "status" : null;
  const { error } = result;
  if (!(error instanceof UpstreamError)) return null;
  const lost = lossReason(error, request);
  if (lost !== null) return lost;
  return repeatable && error.kind === "timeout" && isIdempotent(method) ? "timeout" : null;
}

/** Waits before retry number `retries` (from 0), or until the request ends. */
function pause(
  { upstream, random }: RequestCore,
  record: RequestRecord,
  { retry, retries }: { retry: TableRetry; retries: number },
): Promise<void> {
  const initial = retry.backoff > 0 ? retry.backoff : BACKOFF;
  const ms = backoff(retries, { initial, max: initial * BACKOFF_GROWTH, random });
  return new Promise((resolve) => {
    const deadline = new Deadline(() => {
      record.onEnd = null;
      resolve();
    });
    record.onEnd = () => {
      record.onEnd = null;
      deadline.stop();
      resolve();
    };
    // Whole milliseconds: there is one timer per duration.
    upstream.deadlines.start(deadline, Math.max(1, Math.round(ms)));
  });
}
