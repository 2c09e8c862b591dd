/**
 * What becomes of a request whose endpoint could not be asked, when its route says nothing of
 * retries: it goes to another endpoint of the set, so that one that just left is nobody's failure.
 */
import type { Place } from "../upstream/place.ts";
import { UpstreamError } from "../upstream/errors.ts";
import { isIdempotent, type UpstreamRequest, type UpstreamResponse } from "../upstream/exchange.ts";
import type { RequestCore } from "./handle.ts";
import type { RequestRecord } from "./record.ts";
import { noteRetry } from "./span.ts";

/** Label `reason` of `lgw_proxy_failovers_total`. */
export type LossReason =
  /** There was no connection. */
  | "connect"
  /** HTTP/2: the endpoint says that it did nothing with it. */
  | "refused"
  /** The connection was lost before a byte of an answer, and doing it twice is harmless. */
  | "reset";

interface FailoverOptions {
  /** What the first endpoint came to. */
  error: unknown;
  /** Key of the endpoint set. */
  endpoints: string;
  first: Place;
  request: UpstreamRequest;
  send(place: Place): Promise<UpstreamResponse>;
}

/**
 * Tries at most `maxFailovers` other endpoints, each once.
 *
 * @throws what the last one came to
 */
export async function sendElsewhere(
  core: RequestCore,
  record: RequestRecord,
  options: FailoverOptions,
): Promise<UpstreamResponse> {
  const { endpoints, request, send } = options;
  let { error } = options;
  const tried = new Set([options.first]);
  for (let count = 1; count <= core.limits.maxFailovers; count++) {
    const reason = record.ended === null ? lossReason(error, request) : null;
    const place = reason === null ? undefined : core.endpoints.pickUntried(endpoints, tried);
    if (reason === null || place === undefined) break;
    record.attempt?.stop();
    const { failovers } = core.stats;
    failovers.set(reason, (failovers.get(reason) ?? 0) + 1);
    if (record.span !== null) noteRetry(record.span, { attempt: count, reason });
    tried.add(place);
    try {
      return await send(place);
    } catch (next) {
      error = next;
    }
  }
  throw error;
}

/**
 * May the request go to another endpoint after this failure? When the first cannot have acted on it;
 * or when its connection was lost unanswered, the method is idempotent (RFC 9110 §9.2.2), and it was
 * no offer to switch protocols.
 *
 * @returns null when it may not
 */
export function lossReason(error: unknown, request: UpstreamRequest): LossReason | null {
  if (!(error instanceof UpstreamError)) return null;
  // What is missing here is missing for every endpoint.
  if (error.kind === "tls_incomplete") return null;
  // A streamed body is untouched as long as there was no connection to send it on.
  if (error.kind === "connect" || error.kind === "connect_timeout") return "connect";
  const { body, method, upgrade } = request;
  if (body !== null && !(body instanceof Uint8Array)) return null;
  if (error.unprocessed) return "refused";
  return error.unanswered && upgrade === undefined && isIdempotent(method) ? "reset" : null;
}
