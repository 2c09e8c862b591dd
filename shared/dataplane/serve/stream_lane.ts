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
import type { LargeBuffers } from "./splice_buffers.ts";
import { StreamRecord, type StreamRecordOptions } from "./stream_record.ts";
import {
  connectStream,
  type StreamUpstream,
  type StreamUpstreamOptions,
} from "./stream_upstream.ts";

export interface StreamLaneOptions extends StreamRecordOptions, StreamUpstreamOptions {
  limits: Pick<
    Limits,
    "connectTimeout" | "maxFailovers" | "streamIdleTimeout" | "tunnelDrainTimeout"
  >;
  buffers: LargeBuffers;
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
  const { deadlines, buffers, limits: { streamIdleTimeout: idleTimeout } } = options;
  // Open connections are many: what was needed to connect is let go of.
  let connecting: AbortController | null = new AbortController();
  let splice: Splice | undefined;
  const serve = async (signal: AbortSignal) => {
    const one = await connect({ ...lane, signal }, options);
    if (one === undefined) return;
    const { record, upstream } = one;
    const both = { client: lane.stream, upstream: upstream.stream };
    splice = new Splice({ ...both, deadlines, buffers, idleTimeout });
    if (connecting?.signal.aborted) splice.abort();
    connecting = null;
    const end = await splice.finished;
    upstream.release();
    record.end(end, splice);
  };
  const abort = () => {
    connecting?.abort(new Error("closed"));
    lane.stream.destroy();
    splice?.abort();
  };
  const finished = serve(connecting.signal);
  return {
    finished,
    drain: async () => {
      const patience = new Deadline(abort);
      deadlines.start(patience, options.limits.tunnelDrainTimeout);
      await finished;
      patience.stop();
    },
    abort,
  };
}

/** The connection to the backend that the route says; without one the client's is closed. */
async function connect(
  { stream, info, protocol, terminated, signal }: LaneConnection & { signal: AbortSignal },
  options: StreamLaneOptions,
): Promise<{ record: StreamRecord; upstream: StreamUpstream } | undefined> {
  const decision: Decision = info.table()?.stream(info.sni) ?? { kind: "no_listener" };
  const client = { ...info, protocol, snapshotVersion: info.snapshotVersion() };
  const record = new StreamRecord(client, decision, options);
  const refuse = (outcome: StreamOutcome) => {
    stream.destroy();
    record.end(outcome, { received: 0, sent: 0 });
    return undefined;
  };
  if (decision.kind !== "route") return refuse("no_route");
  const backend = chosen(decision, options.random);
  if (backend === undefined) return refuse("invalid_backend");
  record.backend = backend;
  const upstream = await connectStream(backend, {
    ...options,
    record,
    secured: terminated,
    signal,
  });
  record.connectedMs = record.elapsed();
  if (typeof upstream === "string") return refuse(signal.aborted ? "aborted" : upstream);
  return { record, upstream };
}

/** By weight; undefined when the share has no backend that can be talked to. */
function chosen(
  { candidate: { rule } }: Decision & { kind: "route" },
  random: () => number,
): TableBackend | undefined {
  const backend = rule.backends[pickBackend(rule, random)];
  return backend === undefined || backend.error !== "" ? undefined : backend;
}
