/** What is told of one connection or flow when it is over: counters and a line of the access log. */
import type { Clock } from "../../lib/clock.ts";
import type { AccessLog } from "../observe/access_log.ts";
import type { ListenerStreams, StreamOutcome, StreamStats } from "../observe/stream_stats.ts";
import type { Decision, TableBackend, TableListener } from "../table/types.ts";

export interface StreamRecordOptions {
  stats: StreamStats;
  accessLog: AccessLog | null;
  clock: Clock;
}

/** Who came, and where. */
export interface StreamClient {
  scope: string;
  protocol: "TCP" | "TLS" | "UDP";
  remoteAddress: string;
  remotePort: number;
  /** Lower-case; empty without one. */
  sni: string;
  snapshotVersion: number;
}

/** Open from its making to {@linkcode StreamRecord.end}. */
export class StreamRecord {
  backend: TableBackend | null = null;
  upstream = "";
  attempts = 0;
  connectedMs = 0;
  readonly #client: StreamClient;
  readonly #decision: Decision;
  readonly #options: StreamRecordOptions;
  readonly #listener: TableListener | undefined;
  readonly #counters: ListenerStreams;
  readonly #startedAt: number;
  readonly #began: number;

  constructor(client: StreamClient, decision: Decision, options: StreamRecordOptions) {
    this.#client = client;
    this.#decision = decision;
    this.#options = options;
    this.#listener = listenerOf(decision);
    this.#counters = options.stats.of(client.scope, this.#listener?.name ?? "", client.protocol);
    this.#counters.open++;
    this.#startedAt = options.clock.now();
    this.#began = options.clock.monotonic();
  }

  /** Milliseconds since it was accepted. */
  elapsed(): number {
    return this.#options.clock.monotonic() - this.#began;
  }

  /** It is over; called once. Bytes are those from and to the client. */
  end(outcome: StreamOutcome, { received, sent }: { received: number; sent: number }): void {
    const { outcomes } = this.#counters;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    this.#counters.open--;
    this.#counters.received += received;
    this.#counters.sent += sent;
    const { accessLog } = this.#options;
    if (accessLog === null || this.#listener?.accessLog === false) return;
    const { scope, protocol, remoteAddress, remotePort, sni, snapshotVersion } = this.#client;
    const rule = this.#decision.kind === "route" ? this.#decision.candidate.rule : undefined;
    accessLog.write({
      start_time: new Date(this.#startedAt).toISOString(),
      method: "",
      host: sni,
      path: "",
      protocol,
      status: 0,
      reason: outcome,
      duration_ms: Math.round(this.elapsed()),
      upstream_duration_ms: Math.round(this.connectedMs),
      bytes_in: received,
      bytes_out: sent,
      client: `${remoteAddress}:${remotePort}`,
      upstream: this.upstream,
      attempts: this.attempts,
      gateway: scope,
      listener: this.#listener?.name ?? "",
      route: rule === undefined ? "" : `${rule.routeNamespace}/${rule.routeName}`,
      rule: rule?.rule ?? "",
      backend: this.backend?.name ?? "",
      snapshot_version: snapshotVersion,
      trace_id: "",
      request_id: "",
      correlation_id: "",
      sni,
    });
  }
}

function listenerOf(decision: Decision): TableListener | undefined {
  switch (decision.kind) {
    case "route":
      return decision.candidate.listener;
    case "no_route":
      return decision.listener;
    case "no_listener":
      return undefined;
  }
}
