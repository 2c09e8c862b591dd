/** The life of a request, on one screen. */
import type { Tracer } from "@opentelemetry/api";
import type { Clock } from "../../lib/clock.ts";
import type { AccessLog } from "../observe/access_log.ts";
import type { RequestStats } from "../observe/request_stats.ts";
import type { Candidate, Decision, PortTable } from "../table/types.ts";
import type { EndpointRegistry } from "../upstream/endpoints.ts";
import type { Http1Client } from "../upstream/http1_client.ts";
import type { Http2Client } from "../upstream/http2_client.ts";
import type { TlsProfiles } from "../upstream/tls_profiles.ts";
import { failureCause, RequestFailure } from "./failures.ts";
import { corsRequest } from "./filters/cors.ts";
import type { CorsPolicy } from "./filters/cors.ts";
import { modifyHeaders } from "./filters/header_modifier.ts";
import { redirectLocation } from "./filters/redirect.ts";
import { rewriteRequest } from "./filters/rewrite.ts";
import { forward } from "./forward.ts";
import { Mirrors } from "./mirror.ts";
import type { Limits } from "./limits.ts";
import { webCall } from "./grpc_web.ts";
import { outboundHeaders } from "./outbound_headers.ts";
import { pickBackend } from "./pick_backend.ts";
import { RequestRecord } from "./record.ts";
import { failureResponse, preflightResponse, redirectResponse } from "./respond.ts";
import { type BackendPlan, type RulePlan, RulePlans } from "./rule_plan.ts";
import { propagateSpan, startSpan } from "./span.ts";
import { hostOf, isCleanPath, isCleanQuery } from "./target.ts";
import type { OutboundResponse, RequestHandler } from "./types.ts";
import { addWebSocketKey, dropWebSocketAccept, isExtendedConnect, methodOf } from "./upgrade.ts";
import type { RequestHead } from "../upstream/request_head.ts";

/** What the request core works with. */
export interface RequestCore {
  upstream: Http1Client;
  /** For backends that speak HTTP/2. */
  upstreamHttp2: Http2Client;
  /** How backends are talked to over TLS. */
  tls: Pick<TlsProfiles, "get">;
  endpoints: EndpointRegistry;
  stats: RequestStats;
  /** Null: no access log. */
  accessLog: AccessLog | null;
  /** Null: no spans. */
  tracer: Tracer | null;
  limits: Limits;
  clock: Pick<Clock, "now" | "monotonic">;
  /** In [0, 1). */
  random: () => number;
}

/** Makes the handler that engines call. It never rejects: every failure is an answer. */
export function createRequestHandler(core: RequestCore): RequestHandler {
  const of: Kept = { plans: new RulePlans(core.stats), mirrors: new Mirrors(core) };
  return async (request) => {
    const record = new RequestRecord(request, core);
    if (core.tracer !== null) record.span = startSpan(core.tracer, request);
    request.onAbort = record.aborter();
    try {
      return await handle(core, of, record);
    } catch (error) {
      request.body?.cancel(error);
      return failureResponse(record, record.ended?.reason ?? failureCause(error));
    }
  };
}

/** What the handler keeps from request to request. */
interface Kept {
  plans: RulePlans;
  mirrors: Mirrors;
}

/** Checks → route → filters → pick → forward; each step ends the request by throwing. */
async function handle(
  core: RequestCore,
  { plans, mirrors }: Kept,
  record: RequestRecord,
): Promise<OutboundResponse> {
  const { request } = record;
  const { connection } = request;
  const query = checkTarget(record, core.limits);
  const table = connection.table();
  if (table === undefined) throw new RequestFailure("no_listener");
  if (connection.scheme === "https") checkServerName(table, record);
  const decision = table.route({
    method: methodOf(request),
    host: record.host,
    path: record.path,
    query,
    headers: request.headers,
  });
  if (decision.kind === "no_route") {
    record.listener = decision.listener;
    record.counter = core.stats.unrouted(connection.scope, decision.listener.name);
  }
  const candidate = routed(decision);
  record.candidate = candidate;
  record.listener = candidate.listener;
  const plan = plans.get(candidate, connection.scope);
  record.counter = plan.stats;
  if (candidate.calls) record.web = webCall(request, plan.filters.responseHeaders);

  const answer = answeredHere(record, plan, { query, candidate });
  if (answer !== null) return answer;
  const backend = chooseBackend(core, plan);
  record.counter = backend.stats;
  record.backend = backend.backend.name;
  const answerOfBackend = answeredHere(record, backend, { query, candidate });
  if (answerOfBackend !== null) return answerOfBackend;

  const outbound = outboundHeaders(request, core.random);
  record.traceId = record.span === null
    ? outbound.traceId
    : propagateSpan(outbound.headers, record.span);
  record.correlationId = outbound.correlationId;
  record.requestId = outbound.requestId;
  for (const filter of plan.filters.requestHeaders) modifyHeaders(outbound.headers, filter);
  for (const filter of backend.filters.requestHeaders) modifyHeaders(outbound.headers, filter);

  record.web?.translateHead(outbound.headers);

  let host = request.authority;
  let target = request.target;
  const rewrite = backend.filters.rewrite ?? plan.filters.rewrite;
  if (rewrite !== null) {
    const rewritten = rewriteRequest(rewrite, { host, path: record.path }, candidate);
    host = rewritten.host;
    target = query === "" ? rewritten.path : `${rewritten.path}?${query}`;
  }

  const head: RequestHead = {
    method: methodOf(request),
    target,
    host,
    headers: outbound.headers,
    ...(request.upgrade === null ? {} : { upgrade: request.upgrade.protocol }),
  };
  if (isExtendedConnect(request)) addWebSocketKey(head.headers, core.random);
  const response = await forward(core, record, { head, plan, backend, mirrors });
  for (const filter of backend.filters.responseHeaders) modifyHeaders(response.headers, filter);
  for (const filter of plan.filters.responseHeaders) modifyHeaders(response.headers, filter);
  record.cors?.answer(response.headers);
  record.status = response.status;
  record.headers = response.headers;
  record.body = record.web === null
    ? response.body
    : record.web.translateAnswer(response.headers, response.body);
  if (response.tunnel !== undefined && request.upgrade !== null) {
    if (isExtendedConnect(request)) dropWebSocketAccept(response.headers);
    record.switchProtocols(response.tunnel, request.upgrade.input);
  }
  return record;
}

/** Sets host and path of the record and returns the query. */
function checkTarget(record: RequestRecord, limits: Limits): string {
  const { method, target, authority } = record.request;
  if (method === "CONNECT" && !isExtendedConnect(record.request)) {
    throw new RequestFailure("connect_method");
  }
  if (target.length > limits.maxTargetBytes) throw new RequestFailure("target_too_long");
  const host = hostOf(authority);
  if (host === undefined) throw new RequestFailure("bad_host");
  record.host = host;
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? "" : target.slice(mark + 1);
  // RFC 9112 §3.2.4: `*` is about the server as a whole; matching sees `/`, the backend `*`.
  if (path === "*") {
    if (method !== "OPTIONS" || mark !== -1) throw new RequestFailure("bad_path");
    record.path = "/";
    return "";
  }
  if (!isCleanPath(path) || !isCleanQuery(query)) throw new RequestFailure("bad_path");
  record.path = path;
  return query;
}

/**
 * A connection may carry only requests for the listener whose certificate (and client validation)
 * it was opened with: clients reuse connections for every name that a certificate covers (RFC 9110
 * §7.4, Gateway API GEP-3567). A host that no listener serves is left to matching: 404.
 */
function checkServerName(table: PortTable, record: RequestRecord): void {
  const { sni } = record.request.connection;
  if (sni === "") return;
  const asked = table.listenerFor(record.host);
  if (asked !== undefined && asked !== table.listenerFor(sni)) {
    throw new RequestFailure("misdirected");
  }
}

function routed(decision: Decision): Candidate {
  switch (decision.kind) {
    case "route":
      return decision.candidate;
    case "no_listener":
    case "no_route":
      throw new RequestFailure(decision.kind);
  }
}

/** The answer of a filter that needs no backend; null when there is none. */
function answeredHere(
  record: RequestRecord,
  of: Pick<RulePlan | BackendPlan, "filters">,
  options: { query: string; candidate: Candidate },
): OutboundResponse | null {
  const { cors } = of.filters;
  const preflight = cors === null ? null : checkOrigin(record, cors);
  if (preflight !== null) return preflight;
  return of.filters.redirect === null ? null : redirect(record, of, options);
}

/** Answers a preflight; notes for any other request what its answer is to say. */
function checkOrigin(record: RequestRecord, policy: CorsPolicy): OutboundResponse | null {
  const { request } = record;
  const asked = corsRequest(request);
  if (!asked.preflight) {
    record.cors = { answer: (headers) => policy.answer(headers, asked) };
    return null;
  }
  request.body?.cancel();
  return preflightResponse(record, policy.preflight(asked));
}

function redirect(
  record: RequestRecord,
  of: Pick<RulePlan | BackendPlan, "filters">,
  options: { query: string; candidate: Candidate },
): OutboundResponse {
  const { request } = record;
  const filter = of.filters.redirect!;
  request.body?.cancel();
  const location = redirectLocation(filter, {
    scheme: request.connection.scheme,
    host: record.host,
    port: request.connection.port,
    path: record.path,
    query: options.query,
    match: options.candidate,
  });
  const response = redirectResponse(record, { status: filter.status, location });
  for (const modifier of of.filters.responseHeaders) modifyHeaders(response.headers, modifier);
  record.cors?.answer(response.headers);
  return response;
}

function chooseBackend(core: RequestCore, plan: RulePlan): BackendPlan {
  const at = pickBackend(plan.rule, core.random);
  // Spec: no backendRefs, or none with a weight, is a 500 (HTTPRouteRule.backendRefs).
  if (at === -1) throw new RequestFailure("no_backends");
  const chosen = plan.backends[at]!;
  if (chosen.backend.error !== "") throw new RequestFailure("invalid_backend");
  return chosen;
}
