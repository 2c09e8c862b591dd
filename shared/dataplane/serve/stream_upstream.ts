/** The connection to a backend that a client's bytes are passed on to. */
import type { Limits } from "../request/limits.ts";
import type { TableBackend } from "../table/types.ts";
import { connectEndpoint } from "../upstream/connect.ts";
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import type { EndpointRegistry } from "../upstream/endpoints.ts";
import { UpstreamError } from "../upstream/errors.ts";
import type { Place } from "../upstream/place.ts";
import { connectTls } from "../upstream/tls_connect.ts";
import type { TlsProfiles } from "../upstream/tls_profiles.ts";
import { verdictOfError } from "../upstream/verdict.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { StreamRecord } from "./stream_record.ts";
import { TcpStream } from "./tcp_stream.ts";
import { TlsStream } from "./tls_stream.ts";

export interface StreamUpstreamOptions {
  endpoints: Pick<EndpointRegistry, "pick" | "pickUntried">;
  tls: Pick<TlsProfiles, "get">;
  deadlines: Deadlines;
  limits: Pick<Limits, "connectTimeout" | "maxFailovers">;
}

/** An open connection; `release` gives its place in the backend's bound back, once. */
export interface StreamUpstream {
  stream: ByteStream;
  release(): void;
}

/** Why there is none. */
export type NoUpstream = "no_endpoints" | "circuit_open" | "connect_failed" | "upstream_tls";

/**
 * Connects to an endpoint of a backend, and when that fails to others, each once, `maxFailovers` at
 * most: not a byte of the client is lost, since none was read. Tells the endpoints' health.
 *
 * @param secured with the backend's own TLS, where it has some; else bytes go as they come
 * @param signal aborts with the client's connection
 */
export async function connectStream(
  backend: TableBackend,
  { record, secured, signal, ...options }: StreamUpstreamOptions & {
    record: StreamRecord;
    secured: boolean;
    signal: AbortSignal;
  },
): Promise<StreamUpstream | NoUpstream> {
  const { endpoints, limits } = options;
  const tried = new Set<Place>();
  let problem: NoUpstream = "no_endpoints";
  for (let count = 0; count <= limits.maxFailovers && !signal.aborted; count++) {
    const place = count === 0
      ? endpoints.pick(backend.endpoints)
      : endpoints.pickUntried(backend.endpoints, tried);
    if (place === undefined) break;
    tried.add(place);
    const { load, epoch } = place;
    if (!load.mayConnect()) return "circuit_open";
    load.connections++;
    record.attempts++;
    record.upstream = `${place.address}:${place.port}`;
    try {
      const stream = await open(place, { backend, secured, signal, ...options });
      place.report("good", epoch);
      return { stream, release: () => void load.connections-- };
    } catch (error) {
      load.connections--;
      const known = error instanceof UpstreamError ? error : undefined;
      // A client that left says nothing of the endpoint.
      place.report(signal.aborted ? "none" : known ? verdictOfError(known) : "connection", epoch);
      problem = known !== undefined && known.kind !== "connect" && known.kind !== "connect_timeout"
        ? "upstream_tls"
        : "connect_failed";
      // What is missing here is missing for every endpoint.
      if (known?.kind === "tls_incomplete") break;
    }
  }
  return problem;
}

async function open(
  { address, port }: Place,
  { backend, secured, signal, tls, deadlines, limits }: StreamUpstreamOptions & {
    backend: TableBackend;
    secured: boolean;
    signal: AbortSignal;
  },
): Promise<ByteStream> {
  const late = new AbortController();
  const deadline = new Deadline(() =>
    late.abort(new UpstreamError("connect_timeout", `${address}:${port}: no connection in time`))
  );
  deadlines.start(deadline, limits.connectTimeout);
  const either = AbortSignal.any([signal, late.signal]);
  try {
    if (!secured || backend.tls === null) {
      return new TcpStream(await connectEndpoint(address, port, either));
    }
    const profile = tls.get(backend.tls);
    if (profile === undefined) {
      throw new UpstreamError("tls_incomplete", "authorities or own certificate are not here");
    }
    const target = { address, port, profile, protocol: null, signal: either };
    return new TlsStream(await connectTls(target));
  } finally {
    deadline.stop();
  }
}
