/**
 * Two connections as one: bytes both ways, each at the pace of who takes them, each direction ended
 * by itself (RFC 9293 §3.6: a side that has sent everything may go on reading).
 */
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { LargeBuffers } from "./splice_buffers.ts";
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
  buffers: LargeBuffers;
}

/** Both connections are the splice's from now on; they are closed when it is over. */
export class Splice {
  /** Bytes that came from the client. */
  received = 0;
  /** Bytes that came from the endpoint. */
  sent = 0;
  /** Resolves with both connections closed; never rejects. */
  readonly finished: Promise<SpliceEnd>;
  readonly #client: ByteStream;
  readonly #upstream: ByteStream;
  readonly #deadlines: Deadlines;
  readonly #idleTimeout: number;
  readonly #idle: Deadline;
  #end: SpliceEnd | null = null;

  constructor({ client, upstream, deadlines, idleTimeout, buffers }: SpliceOptions) {
    this.#client = client;
    this.#upstream = upstream;
    this.#deadlines = deadlines;
    this.#idleTimeout = idleTimeout;
    recycle({ from: client, to: upstream }, buffers);
    recycle({ from: upstream, to: client }, buffers);
    this.#idle = new Deadline(() => this.#close("idle"));
    this.#touch();
    this.finished = this.#run();
  }

  /** Closes both connections at once. */
  abort(): void {
    this.#close("aborted");
  }

  async #run(): Promise<SpliceEnd> {
    const client = { stream: this.#client, broken: "client_reset" as const };
    const upstream = { stream: this.#upstream, broken: "upstream_reset" as const };
    await Promise.all([
      this.#pump({ from: client, to: upstream, count: (bytes) => this.received += bytes }),
      this.#pump({ from: upstream, to: client, count: (bytes) => this.sent += bytes }),
    ]);
    this.#close("ok");
    return this.#end ?? "ok";
  }

  /** Passes bytes on until `from` has sent everything, or one of the two has broken. */
  async #pump({ from, to, count }: Direction): Promise<void> {
    for (;;) {
      let chunk: Uint8Array | null;
      try {
        chunk = await from.stream.read();
      } catch {
        return this.#close(from.broken);
      }
      if (chunk === null) break;
      count(chunk.length);
      this.#touch();
      try {
        await to.stream.write(chunk);
      } catch {
        return this.#close(to.broken);
      }
    }
    await to.stream.end();
  }

  #touch(): void {
    if (this.#end === null) this.#deadlines.start(this.#idle, this.#idleTimeout);
  }

  /** The first end given is the one that is told. */
  #close(end: SpliceEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#idle.stop();
    this.#client.destroy();
    this.#upstream.destroy();
  }
}

/** One side of a splice, and the splice's end when it breaks. */
interface Side {
  stream: ByteStream;
  broken: SpliceEnd;
}

interface Direction {
  from: Side;
  to: Side;
  count: (bytes: number) => void;
}

/** Bytes that are gone once they are written leave their buffer free for the next. */
function recycle({ from, to }: { from: ByteStream; to: ByteStream }, buffers: LargeBuffers): void {
  if (from instanceof TcpStream && to.copied) from.recycle(buffers);
}
