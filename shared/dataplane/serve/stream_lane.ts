/** Connections that are passed on as they come: of TCP routes, and of TLS routes by server name. */
import { pickBackend } from "../request/pick_backend.ts";
import type { InboundConnection } from "../request/types.ts";
import type { Limits } from "../request/limits.ts";
import type { Decision, TableBackend } from "../table/types.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { StreamOutcome } from "../observe/stream_stats.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { OpenConnection } from "./open_connections.ts";
import { Splice } from "./splice.ts";
import { StreamRecord, type StreamRecordOptions } from "./stream_record.ts";
import { connectStream, type StreamUpstreamOptions } from "./stream_upstream.ts";

export interface StreamLaneOptions extends StreamRecordOptions, StreamUpstreamOptions {
  limits: Pick<
    Limits,
    "connectTimeout" | "maxFailovers" | "streamIdleTimeout" | "tunnelDrainTimeout"
  >;
  /** In [0, 1). */
  random: () => number;
}

/** What is known of an accepted connection. */
export interface LaneConnection {
  stream: ByteStream;
  info: InboundConnection;
  protocol: "TCP" | "TLS";
  /** The client's TLS ends here: the backend gets plaintext, or TLS of its own. */
  terminated: boolean;
}

/**
 * Serves a connection until both sides have closed. Without a backend it is closed with nothing said
 * on it, no TLS alert either. A drain lets it end by itself for `tunnelDrainTimeout`.
 */
export function openLane(lane: LaneConnection, options: StreamLaneOptions): OpenConnection {
  const gone = new AbortController();
  let splice: Splice | undefined;
  const abort = () => {
    gone.abort(new Error("closed"));
    lane.stream.destroy();
    splice?.abort();
  };
  const serve = async () => {
    const { stream, info, protocol, terminated } = lane;
    const decision: Decision = info.table()?.stream(info.sni) ?? { kind: "no_listener" };
    const record = new StreamRecord(
      { ...info, protocol, snapshotVersion: info.snapshotVersion() },
      decision,
      options,
    );
    const refuse = (outcome: StreamOutcome) => {
      stream.destroy();
      record.end(outcome, { received: 0, sent: 0 });
    };
    if (decision.kind !== "route") return refuse("no_route");
    const backend = chosen(decision, options.random);
    if (backend === undefined) return refuse("invalid_backend");
    record.backend = backend;
    const place = { ...options, record, secured: terminated, signal: gone.signal };
    const upstream = await connectStream(backend, place);
    record.connectedMs = record.elapsed();
    if (typeof upstream === "string") return refuse(gone.signal.aborted ? "aborted" : upstream);
    const { deadlines, limits: { streamIdleTimeout: idleTimeout } } = options;
    splice = new Splice({ client: stream, upstream: upstream.stream, deadlines, idleTimeout });
    if (gone.signal.aborted) splice.abort();
    const end = await splice.finished;
    upstream.release();
    record.end(end, splice);
  };
  const finished = serve();
  return {
    finished,
    drain: async () => {
      const patience = new Deadline(abort);
      options.deadlines.start(patience, options.limits.tunnelDrainTimeout);
      await finished;
      patience.stop();
    },
    abort,
  };
}

/** By weight; undefined when the share has no backend that can be talked to. */
function chosen(
  { candidate: { rule } }: Decision & { kind: "route" },
  random: () => number,
): TableBackend | undefined {
  const backend = rule.backends[pickBackend(rule, random)];
  return backend === undefined || backend.error !== "" ? undefined : backend;
}
