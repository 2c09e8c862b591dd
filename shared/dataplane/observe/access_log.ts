/** The access log: one JSON line per request, off without a sink. */

/** One request, as it is logged. Durations are milliseconds. */
export interface AccessEntry {
  start_time: string;
  method: string;
  host: string;
  /** Without query: queries carry secrets. */
  path: string;
  protocol: string;
  status: number;
  /** Of calls (gRPC), which have their own status besides. */
  grpc_status?: number;
  /** `ok`, or why the request failed. */
  reason: string;
  duration_ms: number;
  /** Until the head of the endpoint's answer; 0 when no endpoint was asked. */
  upstream_duration_ms: number;
  bytes_in: number;
  bytes_out: number;
  client: string;
  upstream: string;
  /** Times that the request was sent to an endpoint; `upstream` is the last. */
  attempts: number;
  gateway: string;
  listener: string;
  route: string;
  rule: string;
  backend: string;
  snapshot_version: number;
  trace_id: string;
  request_id: string;
  correlation_id: string;
  sni: string;
}

/** Takes finished lines, newline included. */
export interface AccessLogSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** Settings of the access log. */
export interface AccessLogOptions {
  sink: AccessLogSink;
  /** Lines that may wait; beyond, new ones are dropped and counted. Default 8192. */
  maxQueued?: number;
}

/** Batches lines into one write at a time; never makes a request wait. */
export class AccessLog {
  /** Lines lost: the queue was full, or the sink failed. */
  dropped = 0;
  readonly #sink: AccessLogSink;
  readonly #maxQueued: number;
  #queue: string[] = [];
  #writing: Promise<void> | null = null;

  constructor(options: AccessLogOptions) {
    this.#sink = options.sink;
    this.#maxQueued = options.maxQueued ?? 8192;
  }

  /** Queues a line. */
  write(entry: AccessEntry): void {
    if (this.#queue.length >= this.#maxQueued) {
      this.dropped += 1;
      return;
    }
    this.#queue.push(JSON.stringify(entry));
    this.#writing ??= this.#drain();
  }

  /** Resolves when everything queued is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    const encoder = new TextEncoder();
    // Whatever else the current turn logs joins the batch.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const lines = this.#queue;
      this.#queue = [];
      try {
        await this.#sink.write(encoder.encode(lines.join("\n") + "\n"));
      } catch {
        this.dropped += lines.length;
      }
    }
    this.#writing = null;
  }
}
