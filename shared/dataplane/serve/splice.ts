/**
 * Two connections as one: bytes both ways, each at the pace of who takes them, each direction ended
 * by itself (RFC 9293 §3.6: a side that has sent everything may go on reading).
 */
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import { TcpStream } from "./tcp_stream.ts";

/** Why a splice is over. */
export type SpliceEnd =
  /** Both sides have sent everything. */
  | "ok"
  /** The client's connection broke. */
  | "client_reset"
  /** The endpoint's connection broke. */
  | "upstream_reset"
  /** No byte in either direction for too long. */
  | "idle"
  /** Given up by the proxy. */
  | "aborted";

export interface SpliceOptions {
  client: ByteStream;
  upstream: ByteStream;
  deadlines: Deadlines;
  /** Milliseconds without a byte in either direction; 0 = no bound. */
  idleTimeout: number;
}

/** Both connections are the splice's from now on; they are closed when it is over. */
export class Splice {
  /** Bytes that came from the client. */
  received = 0;
  /** Bytes that came from the endpoint. */
  sent = 0;
  /** Resolves with both connections closed; never rejects. */
  readonly finished: Promise<SpliceEnd>;
  readonly #options: SpliceOptions;
  readonly #idle: Deadline;
  #end: SpliceEnd | null = null;

  constructor(options: SpliceOptions) {
    this.#options = options;
    recycle(options.client, options.upstream);
    recycle(options.upstream, options.client);
    this.#idle = new Deadline(() => this.#close("idle"));
    this.#touch();
    this.finished = this.#run();
  }

  /** Closes both connections at once. */
  abort(): void {
    this.#close("aborted");
  }

  async #run(): Promise<SpliceEnd> {
    await Promise.all([this.#fromClient(), this.#fromUpstream()]);
    this.#close("ok");
    return this.#end ?? "ok";
  }

  async #fromClient(): Promise<void> {
    const { client, upstream } = this.#options;
    for (;;) {
      const chunk = await client.read().catch(() => undefined);
      if (chunk === undefined) return this.#close("client_reset");
      if (chunk === null) break;
      this.received += chunk.length;
      this.#touch();
      if (!await written(upstream, chunk)) return this.#close("upstream_reset");
    }
    await upstream.end();
  }

  async #fromUpstream(): Promise<void> {
    const { client, upstream } = this.#options;
    for (;;) {
      const chunk = await upstream.read().catch(() => undefined);
      if (chunk === undefined) return this.#close("upstream_reset");
      if (chunk === null) break;
      this.sent += chunk.length;
      this.#touch();
      if (!await written(client, chunk)) return this.#close("client_reset");
    }
    await client.end();
  }

  #touch(): void {
    const { deadlines, idleTimeout } = this.#options;
    if (this.#end === null) deadlines.start(this.#idle, idleTimeout);
  }

  /** The first end given is the one that is told. */
  #close(end: SpliceEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#idle.stop();
    this.#options.client.destroy();
    this.#options.upstream.destroy();
  }
}

/** Bytes that are gone once they are written leave their buffer free for the next. */
function recycle(from: ByteStream, to: ByteStream): void {
  if (from instanceof TcpStream && to.copied) from.recycle();
}

function written(to: ByteStream, chunk: Uint8Array): Promise<boolean> {
  return to.write(chunk).then(() => true, () => false);
}
