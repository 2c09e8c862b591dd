/** What is known of one request while it lives; counted and logged once, when its answer is out. */
import type { AccessLog } from "../observe/access_log.ts";
import type { BackendStats, RequestStats } from "../observe/request_stats.ts";
import type { Clock } from "../../lib/clock.ts";
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import type { Exchange } from "../upstream/exchange.ts";
import { UpstreamError } from "../upstream/errors.ts";
import type { Candidate, TableListener } from "../table/types.ts";
import type { SetLoad } from "../upstream/set_load.ts";
import type { UpstreamTunnel } from "../upstream/tunnel.ts";
import { CountedBody } from "./body.ts";
import type { Span } from "@opentelemetry/api";
import { finishSpan } from "./span.ts";
import { type FailureCause, failureCause, RequestFailure } from "./failures.ts";
import { grpcStatus, statusOfAnswer } from "./grpc.ts";
import type { WebCall } from "./grpc_web.ts";
import type {
  BodyReader,
  HeaderList,
  InboundRequest,
  OutboundResponse,
  ResponseOutcome,
} from "./types.ts";

/** Where finished requests are reported. */
export interface RecordSinks {
  stats: RequestStats;
  accessLog: AccessLog | null;
  clock: Pick<Clock, "now" | "monotonic">;
}

/** The life of one request, and its answer in the shape that engines take. */
export class RequestRecord implements OutboundResponse {
  status = 0;
  headers: HeaderList = [];
  body: OutboundResponse["body"] = null;
  close = false;
  /** What the backend switched to; empty while this is HTTP. */
  upgrade = "";

  readonly request: InboundRequest;
  readonly startedAt: number;
  reason: FailureCause | "ok" = "ok";
  /** A call (gRPC) whose failure was told as one, whether or not a route took it. */
  toldCall = false;
  /** A call in the form that browsers have, which its backend does not see. */
  web: WebCall | null = null;
  /** What a call came to, known when its answer is out; null for any other request. */
  grpcStatus: number | null = null;
  host = "";
  path = "";
  candidate: Candidate | null = null;
  /** The listener that the request is for, also when no route of it matches. */
  listener: TableListener | null = null;
  counter: BackendStats | null = null;
  backend = "";
  upstream = "";
  upstreamMs = 0;
  /** Times that it was sent to an endpoint. */
  attempts = 0;
  traceId = "";
  correlationId = "";
  requestId = "";
  bytesIn = 0;
  streamed: CountedBody | null = null;
  /** What the route's CORS filter has to say about the answer, whoever gives it. */
  cors: { answer(headers: HeaderList): void } | null = null;
  exchange: Exchange | null = null;
  /** The endpoint set whose requests this one counts among. */
  load: SetLoad | null = null;
  /** Null when nobody records. */
  span: Span | null = null;
  /** The route's request timeout, when it has one. */
  deadline: Deadline | null = null;
  /** The route's timeout for one attempt, when it has one. */
  attempt: Deadline | null = null;
  /** Milliseconds until the protocol was switched; the rest is the tunnel's life. */
  #switchedMs = 0;
  /** Whoever waits for something other than the exchange is told of the end. */
  onEnd: (() => void) | null = null;
  /** The deadline is over, or the client is gone. */
  ended: RequestFailure | null = null;
  readonly #sinks: RecordSinks;
  #done = false;

  constructor(request: InboundRequest, sinks: RecordSinks) {
    this.request = request;
    this.#sinks = sinks;
    this.startedAt = sinks.clock.monotonic();
    sinks.stats.inflight += 1;
  }

  /** What ends the request when its client goes away. */
  aborter(): () => void {
    return () => this.end("client_closed");
  }

  /** Starts the route's timeout for the whole exchange. */
  startDeadline(deadlines: Deadlines, ms: number): void {
    this.deadline = new Deadline(() => this.end("request_timeout"));
    deadlines.start(this.deadline, ms);
  }

  /** Starts the route's timeout for one attempt; it runs on while the answer streams. */
  startAttempt(deadlines: Deadlines, ms: number): void {
    this.attempt?.stop();
    this.attempt = new Deadline(() =>
      this.exchange?.abort(new UpstreamError("timeout", "longer than the route allows"))
    );
    deadlines.start(this.attempt, ms);
  }

  /**
   * The backend agreed to another protocol. The route's timeouts were about its answer; what comes
   * now lasts as long as both sides want.
   */
  switchProtocols(tunnel: UpstreamTunnel, input: BodyReader): void {
    const { stats, clock } = this.#sinks;
    this.deadline?.stop();
    this.attempt?.stop();
    this.upgrade = tunnel.protocol;
    this.#switchedMs = clock.monotonic() - this.startedAt;
    stats.tunnels += 1;
    this.#leaveLoad();
    this.streamed = new CountedBody(input, 0);
    tunnel.carry(this.streamed);
  }

  /** Ends the request from the outside: deadline or client. */
  end(cause: FailureCause): void {
    if (this.ended !== null || this.#done) return;
    this.ended = new RequestFailure(cause);
    this.reason = cause;
    this.request.body?.cancel(this.ended);
    this.onEnd?.();
    this.exchange?.abort(new UpstreamError("aborted", cause, { cause: this.ended }));
  }

  done(outcome: ResponseOutcome): void {
    if (this.#done) return;
    this.#done = true;
    this.request.onAbort = null;
    this.deadline?.stop();
    this.attempt?.stop();
    this.#leaveLoad();
    // What nobody read must not keep a connection.
    if (outcome.error !== undefined) {
      if (this.reason === "ok") {
        const cause = failureCause(outcome.error);
        this.reason = cause === "internal" ? "client_closed" : cause;
      }
      if (this.body !== null && !(this.body instanceof Uint8Array)) this.body.cancel(outcome.error);
    }
    this.grpcStatus = this.#callStatus();
    const { stats, clock, accessLog } = this.#sinks;
    const duration = clock.monotonic() - this.startedAt;
    stats.inflight -= 1;
    const scope = this.request.connection.scope;
    const gateway = stats.gateway(scope);
    const switched = this.upgrade !== "";
    gateway.request.observe(switched ? this.#switchedMs : duration);
    if (this.exchange !== null) gateway.upstream.observe(this.upstreamMs);
    const counter = this.counter ?? stats.unrouted(scope, "");
    if (switched) {
      stats.tunnels -= 1;
      stats.tunnelBytesIn += this.streamed?.bytes ?? 0;
      stats.tunnelBytesOut += outcome.bytes;
      counter.count(this.status);
    } else counter.count(this.reason === "client_closed" ? 499 : this.status, this.grpcStatus);
    if (this.reason !== "ok") this.#countFailure();
    if (accessLog !== null && this.listener?.accessLog !== false) {
      this.#log(accessLog, duration, outcome.bytes);
    }
    if (this.span !== null) finishSpan(this.span, this);
  }

  #callStatus(): number | null {
    if (!this.toldCall && this.candidate?.calls !== true) return null;
    if (this.reason !== "ok") return grpcStatus(this.reason);
    const { status, headers, body } = this;
    const trailers = this.web?.trailers ??
      (body instanceof Uint8Array ? null : body?.trailers) ?? [];
    return statusOfAnswer({ status, headers, trailers });
  }

  #leaveLoad(): void {
    if (this.load === null) return;
    this.load.requests--;
    this.load = null;
  }

  #countFailure(): void {
    const { stats } = this.#sinks;
    const reason = this.reason;
    if (reason.startsWith("upstream_")) stats.upstreamError(reason.slice("upstream_".length));
    switch (reason) {
      case "upstream_timeout":
      case "upstream_connect_timeout":
      case "request_timeout":
        stats.timeouts += 1;
        break;
      case "tunnel_idle":
        stats.limitExceeded("tunnel_idle_timeout");
        break;
      case "body_timeout":
        stats.limitExceeded("body_idle_timeout");
        break;
      case "body_too_large":
        stats.limitExceeded("max_body_bytes");
        break;
      case "target_too_long":
        stats.limitExceeded("max_target_bytes");
        break;
      case "head_too_large":
        stats.limitExceeded("max_head_bytes");
        break;
      case "circuit_open":
        stats.limitExceeded("max_backend_requests");
        break;
      case "upstream_overflow":
        stats.limitExceeded("max_pending_requests");
        break;
      default:
    }
  }

  #log(accessLog: AccessLog, duration: number, bytes: number): void {
    const { request, candidate } = this;
    const { connection } = request;
    const rule = candidate?.rule;
    accessLog.write({
      start_time: new Date(this.#sinks.clock.now() - duration).toISOString(),
      method: request.method,
      host: this.host === "" ? request.authority : this.host,
      path: this.path === "" ? request.target.split("?", 1)[0]! : this.path,
      protocol: `HTTP/${request.httpVersion}`,
      status: this.status,
      ...(this.grpcStatus === null ? {} : { grpc_status: this.grpcStatus }),
      reason: this.reason,
      duration_ms: round(duration),
      upstream_duration_ms: round(this.upstreamMs),
      bytes_in: this.streamed?.bytes ?? this.bytesIn,
      bytes_out: bytes,
      client: `${connection.remoteAddress}:${connection.remotePort}`,
      upstream: this.upstream,
      attempts: this.attempts,
      gateway: connection.scope,
      listener: this.listener?.name ?? "",
      route: rule === undefined ? "" : `${rule.routeNamespace}/${rule.routeName}`,
      rule: rule?.rule ?? "",
      backend: this.backend,
      snapshot_version: connection.snapshotVersion(),
      trace_id: this.traceId,
      request_id: this.requestId,
      correlation_id: this.correlationId,
      sni: connection.sni,
    });
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
