/**
 * One HTTP/2 connection (RFC 9113) of either side: its streams, and how it lives and ends. What
 * messages mean is its role's business.
 */
import type { Clock } from "../../lib/clock.ts";
import type { ByteStream } from "../serve/byte_stream.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import { ConnectionError } from "./errors.ts";
import { BlockLimitError } from "./header_blocks.ts";
import type { FieldBlock } from "./hpack_decoder.ts";
import { LINGER_BYTES, LINGER_TIME, OUTPUT_FULL } from "./limits.ts";
import type { Http2Limit, Http2Limits } from "./limits.ts";
import { initialSettings } from "./peer_settings.ts";
import * as h2 from "./protocol.ts";
import { Receiver } from "./receiver.ts";
import { RecentStreams } from "./recent_streams.ts";
import { Sender } from "./sender.ts";
import { Stream } from "./stream.ts";
import type { StreamFailure, StreamOwner } from "./stream.ts";

/** The server's or the client's side of a connection. */
export interface SessionRole {
  /** Which side this is: it decides whose streams have which numbers. */
  readonly side: "server" | "client";
  /** The peer's first SETTINGS have arrived: its preface is complete. */
  ready(): void;
  /** A new stream of the peer's (servers only). */
  opened(id: number, block: FieldBlock, endStream: boolean): void;
  /** A header block is, or is no longer, under way in pieces. */
  blockPending(pending: boolean): void;
  /** A stream ended, or the peer's settings changed. */
  changed(): void;
  /** The peer is going away; it did not process our streams above `last`. */
  goaway(last: number, code: number): void;
  pingAcked(): void;
  /** The peer ran into a bound. */
  limit(limit: Http2Limit | "response_timeout"): void;
}

export interface SessionOptions {
  deadlines: Deadlines;
  clock: Pick<Clock, "monotonic">;
  limits: Http2Limits;
  /** Octets of a header block, decoded (RFC 9113 §10.5.1); twice as many may arrive. */
  maxHeadBytes: number;
  /** Milliseconds without progress of what is sent. */
  sendIdleTimeout: number;
}

/** Settings to send. */
export type Settings = readonly (readonly [id: number, value: number])[];

export class Session {
  readonly streams = new Map<number, Stream>();
  readonly recent = new RecentStreams();
  readonly sender: Sender;
  readonly role: SessionRole;
  readonly options: SessionOptions;
  /** What the peer asked for. */
  readonly peer = initialSettings();
  /** The highest stream of the peer's, and of ours, that was begun. */
  lastPeerStream = 0;
  lastOwnStream = 0;
  /** The connection is over, or about to be: what arrives is ignored. */
  over = false;
  readonly #transport: ByteStream;
  readonly #receiver: Receiver;
  #lastAccepted = h2.MAX_WINDOW;
  #onDrained: (() => void) | null = null;
  #shutting = false;
  readonly #deadline = new Deadline(() => this.destroy());

  constructor(transport: ByteStream, role: SessionRole, options: SessionOptions) {
    this.#transport = transport;
    this.role = role;
    this.options = options;
    this.#receiver = new Receiver(this);
    this.sender = new Sender(transport, {
      deadlines: options.deadlines,
      idleTimeout: options.sendIdleTimeout,
      events: {
        closedLocal: (stream) => {
          if (stream.remoteClosed) this.#complete(stream);
        },
        stalled: (stream) => {
          role.limit("response_timeout");
          this.reset(stream, h2.ErrorCode.CANCEL, "the peer opens no window");
        },
        drained: () => this.#drained(),
        lost: (reason) => {
          if (reason === "timeout") role.limit("response_timeout");
          this.destroy();
        },
      },
    });
    transport.onClose = () => this.destroy();
  }

  /** Sends our settings: the first frame that goes out. */
  start(settings: Settings): void {
    const { limits, maxHeadBytes } = this.options;
    const { out } = this.sender;
    if (this.role.side === "client") out.preface();
    out.settings([
      [h2.INITIAL_WINDOW_SIZE, limits.streamWindow],
      [h2.MAX_HEADER_LIST_SIZE, maxHeadBytes],
      ...settings,
    ]);
    const more = limits.connectionWindow - h2.DEFAULT_WINDOW;
    if (more > 0) out.windowUpdate(0, more);
    this.sender.schedule();
  }

  /** Reads until the connection ends, and closes it. Never rejects. */
  async run(): Promise<void> {
    try {
      while (!this.over) {
        if (this.sender.out.size >= OUTPUT_FULL) {
          // Who does not take our answers is not asked for more.
          await new Promise<void>((resolve) => this.#onDrained = resolve);
          continue;
        }
        const chunk = await this.#transport.read();
        if (chunk === null) break;
        this.receive(chunk);
      }
      if (this.over) await this.#linger();
    } catch {
      // The transport failed: there is nobody left to tell.
    }
    this.destroy();
  }

  /** Takes bytes in. Whatever is wrong with them ends a stream or the connection. */
  receive(chunk: Uint8Array): void {
    if (this.over) return;
    this.sender.cork();
    try {
      this.#receiver.push(chunk);
    } catch (error) {
      if (error instanceof BlockLimitError) this.role.limit("h2_header_block");
      this.fail(error instanceof ConnectionError ? error.code : h2.ErrorCode.INTERNAL_ERROR);
      if (!(error instanceof ConnectionError)) throw error;
    } finally {
      this.sender.uncork();
    }
  }

  /** Adds a stream whose first header block has arrived, or is the caller's to send. */
  add(id: number, owner: StreamOwner): Stream {
    const stream = new Stream(id, owner, {
      send: this.peer.initialWindowSize,
      receive: this.options.limits.streamWindow,
    });
    this.streams.set(id, stream);
    this.begun(id);
    return stream;
  }

  /** Streams below this one that were not used never will be (RFC 9113 §5.1.1). */
  begun(id: number): void {
    if (this.isPeers(id)) this.lastPeerStream = id;
    else this.lastOwnStream = id;
  }

  isPeers(id: number): boolean {
    return (id % 2 === 1) === (this.role.side === "server");
  }

  /** The reader of a body took octets: the peer may send as many again. */
  consumed(stream: Stream, octets: number): void {
    this.#receiver.consumed(stream, octets);
  }

  /** Octets are not going to be read: only the connection's window opens again. */
  dropped(octets: number): void {
    this.#receiver.consumed(null, octets);
  }

  /** Ends a stream from our side; what is still under way for it is ignored. */
  reset(stream: Stream, code: number, reason: string): void {
    if (stream.gone) return;
    this.sender.out.resetStream(stream.id, code);
    this.sender.schedule();
    this.recent.addReset(stream.id);
    this.#remove(stream, { code, by: "us", reason });
  }

  /** Refuses a stream that was not added. */
  refuse(id: number, code: number): void {
    this.sender.out.resetStream(id, code);
    this.sender.schedule();
    this.recent.addReset(id);
  }

  /** The peer reset a stream. */
  wasReset(stream: Stream, code: number): void {
    this.recent.addDone(stream.id);
    this.#remove(stream, { code, by: "peer", reason: `reset by the peer: error ${code}` });
  }

  /** The peer sent END_STREAM, and what it sent is complete. */
  closedRemote(stream: Stream): void {
    stream.remoteClosed = true;
    stream.owner.ended();
    if (stream.localClosed && !stream.gone) this.#complete(stream);
  }

  /** Tells the peer that no stream after those that have begun is going to be processed. */
  lastCall(): void {
    this.#lastAccepted = this.lastPeerStream;
    this.sender.out.goaway(this.#lastAccepted, h2.ErrorCode.NO_ERROR);
    this.sender.schedule();
  }

  /** Ends the connection with GOAWAY. */
  fail(code: number): void {
    if (this.over) return;
    // What was said of streams that are not processed is not taken back (RFC 9113 §6.8).
    this.sender.out.goaway(Math.min(this.lastPeerStream, this.#lastAccepted), code);
    this.finish();
  }

  /** Sends what is pending and closes; streams that are still open fail. */
  finish(): void {
    if (this.over) return;
    this.over = true;
    this.#failAll("the connection was closed");
    this.sender.flush();
    this.sender.watch();
    this.#wake();
    // An outstanding read has to end by itself, or by the linger's deadline.
    if (this.sender.idle) this.#shut();
  }

  /** Closes at once. Idempotent. */
  destroy(): void {
    this.over = true;
    this.sender.close();
    this.#deadline.stop();
    this.#transport.onClose = null;
    this.#transport.destroy();
    this.#failAll("connection lost");
    this.#wake();
  }

  // -------------------------------------------------------------------------------------------

  #drained(): void {
    this.#wake();
    if (this.over) this.#shut();
  }

  #wake(): void {
    const onDrained = this.#onDrained;
    this.#onDrained = null;
    onDrained?.();
  }

  /** Everything is sent: closes our side, and gives the peer a moment to close its own. */
  #shut(): void {
    if (this.#shutting) return;
    this.#shutting = true;
    void this.#transport.end();
    this.options.deadlines.start(this.#deadline, LINGER_TIME);
  }

  /**
   * Reads on until the peer closes: closing while it still sends would reset the connection, and a
   * reset discards what it has not read yet, GOAWAY included (RFC 9112 §9.6).
   */
  async #linger(): Promise<void> {
    for (let bytes = 0; bytes < LINGER_BYTES;) {
      const chunk = await this.#transport.read();
      if (chunk === null) return;
      bytes += chunk.length;
    }
  }

  /** Both sides are done. */
  #complete(stream: Stream): void {
    this.recent.addDone(stream.id);
    this.#remove(stream, null);
  }

  #remove(stream: Stream, failure: StreamFailure | null): void {
    stream.gone = true;
    this.streams.delete(stream.id);
    this.sender.forget(stream);
    if (failure !== null) stream.owner.failed(failure);
    if (!this.over) this.role.changed();
  }

  #failAll(reason: string): void {
    for (const stream of [...this.streams.values()]) {
      this.#remove(stream, { code: h2.ErrorCode.NO_ERROR, by: "connection", reason });
    }
  }
}
