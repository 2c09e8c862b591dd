/** The sending half of a connection: header blocks, flow control, and what goes out when. */
import type { ByteStream } from "../serve/byte_stream.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { HeaderList } from "../request/types.ts";
import { BLOCK_OVERHEAD, fieldBound, FieldError, HpackEncoder } from "./hpack_encoder.ts";
import { OUTPUT_HIGH } from "./limits.ts";
import { Output, writeFrameHeader } from "./output.ts";
import * as h2 from "./protocol.ts";
import type { Stream } from "./stream.ts";

/** What a sender tells its session. */
export interface SenderEvents {
  /** Our END_STREAM is in the output. */
  closedLocal(stream: Stream): void;
  /** The peer opened no window for this stream for too long. */
  stalled(stream: Stream): void;
  /** The transport has everything, and nothing waits. */
  drained(): void;
  /** The transport failed, or took nothing for too long. */
  lost(reason: "failed" | "timeout"): void;
}

export interface SenderOptions {
  deadlines: Deadlines;
  /** Milliseconds that the peer may take nothing. */
  idleTimeout: number;
  events: SenderEvents;
}

/** A header block to send, in this order. */
export interface Fields {
  pseudo: HeaderList;
  list: HeaderList;
  /** What `list` says of the length is not sent. */
  dropLength?: boolean;
  extra?: HeaderList;
}

const NO_FIELDS: HeaderList = [];

export class Sender {
  readonly out = new Output();
  readonly encoder = new HpackEncoder();
  /** Octets that we may send on all streams together. */
  window = h2.DEFAULT_WINDOW;
  maxFrameSize = h2.DEFAULT_FRAME_SIZE;
  /** DATA frames ever sent. */
  dataFrames = 0;
  readonly #transport: ByteStream;
  readonly #options: SenderOptions;
  /** Streams that could send if there was room; first come, first served, a frame each. */
  readonly #ready: Stream[] = [];
  readonly #deadline: Deadline;
  #writing = false;
  #scheduled = false;
  /** While input is read, one flush at its end is enough. */
  #corked = false;
  #closed = false;
  readonly #flushTask = () => {
    this.#scheduled = false;
    if (!this.#corked) this.flush();
  };
  readonly #onWritten = () => this.#written();
  readonly #onError = () => {
    this.#deadline.stop();
    if (!this.#closed) this.#options.events.lost("failed");
  };

  constructor(transport: ByteStream, options: SenderOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#deadline = new Deadline(() => options.events.lost("timeout"));
  }

  /** Whether the transport still holds something back. */
  get idle(): boolean {
    return !this.#writing && this.out.size === 0;
  }

  /** Output waits for the end of the input that is being read. */
  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    this.flush();
  }

  /** Something was put into `out`: it leaves with whatever else this turn brings. */
  schedule(): void {
    this.watch();
    if (this.#scheduled || this.#writing || this.#corked) return;
    this.#scheduled = true;
    queueMicrotask(this.#flushTask);
  }

  /**
   * Sends a header block.
   *
   * @throws FieldError when a field cannot be sent; nothing was sent then
   */
  headers(stream: Stream, fields: Fields, endStream: boolean): void {
    const { pseudo, list, extra = NO_FIELDS, dropLength = false } = fields;
    const bound = BLOCK_OVERHEAD + listBound(pseudo) + listBound(list) + listBound(extra);
    this.out.reserve(h2.FRAME_HEADER + bound);
    const { buffer, at } = this.out;
    const from = at + h2.FRAME_HEADER;
    const encoder = this.encoder;
    encoder.begin(buffer, from);
    try {
      for (let i = 0; i < pseudo.length; i += 2) encoder.field(pseudo[i]!, pseudo[i + 1]!);
      for (let i = 0; i < list.length; i += 2) {
        if (dropLength && list[i] === "content-length") continue;
        encoder.field(list[i]!, list[i + 1]!);
      }
      for (let i = 0; i < extra.length; i += 2) encoder.field(extra[i]!, extra[i + 1]!);
    } catch (error) {
      if (error instanceof FieldError) encoder.reset();
      throw error;
    } finally {
      encoder.end();
    }
    const end = encoder.at;
    if (end - from > this.maxFrameSize) {
      this.#split(stream, new Uint8Array(buffer.subarray(from, end)), endStream);
    } else {
      const flags = h2.END_HEADERS | (endStream ? h2.END_STREAM : 0);
      writeFrameHeader(buffer, at, {
        type: h2.HEADERS,
        flags,
        stream: stream.id,
        length: end - from,
      });
      this.out.commit(end);
    }
    if (endStream) this.#closeLocal(stream);
    this.schedule();
  }

  /**
   * Sends a part of a body. One part at a time: after false, wait for `onDrained` of the stream.
   *
   * @param end whether it is the last; an empty last part says only that
   * @returns whether all of it is in the output; the bytes are the caller's again then
   */
  data(stream: Stream, bytes: Uint8Array, end: boolean): boolean {
    stream.pending = bytes;
    stream.pendingAt = 0;
    stream.pendingEnd = end;
    while (this.#ready.length === 0 && stream.pending !== null && this.#writable(stream)) {
      this.#frame(stream);
    }
    this.schedule();
    if (stream.pending === null) return true;
    this.#wait(stream);
    return false;
  }

  /** The peer's window for a stream, or for all of them, has changed. */
  windowOpened(stream: Stream | null): void {
    if (stream !== null) {
      if (stream.pending === null || stream.queued) return;
      stream.stalled?.stop();
      this.#wait(stream);
    }
    this.#pump();
  }

  /** Takes what waits of a stream that is over. */
  forget(stream: Stream): void {
    stream.stalled?.stop();
    stream.pending = null;
    const onDrained = stream.onDrained;
    stream.onDrained = null;
    onDrained?.();
  }

  /** Hands the output to the transport, unless it is still busy with the last. */
  flush(): void {
    this.watch();
    if (this.#writing || this.#closed || this.out.size === 0) return;
    this.#writing = true;
    this.#transport.write(this.out.take()).then(this.#onWritten, this.#onError);
  }

  /**
   * Bounds how long a busy transport may stay so. Asked for when something waits for it, and not for
   * every write: most of them are over at once.
   */
  watch(): void {
    if (!this.#writing || this.#closed || this.#deadline.active) return;
    this.#options.deadlines.start(this.#deadline, this.#options.idleTimeout);
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.#deadline.stop();
  }

  #written(): void {
    this.#writing = false;
    this.#deadline.stop();
    if (this.#closed) return;
    this.#pump();
    if (this.out.size > 0) this.flush();
    else this.#options.events.drained();
  }

  #pump(): void {
    const ready = this.#ready;
    while (ready.length > 0 && this.out.size < OUTPUT_HIGH) {
      const stream = ready[0]!;
      if (stream.pending !== null && this.window <= 0 && stream.pending.length > 0) {
        this.#watchReady();
        break;
      }
      ready.shift();
      stream.queued = false;
      if (stream.gone || stream.pending === null) continue;
      if (this.#writable(stream)) this.#frame(stream);
      if (stream.pending !== null) this.#wait(stream);
      else {
        const onDrained = stream.onDrained;
        stream.onDrained = null;
        onDrained?.();
      }
    }
    if (this.out.size > 0) this.schedule();
  }

  /** Where a stream with something pending waits: in line, or for its own window. */
  #wait(stream: Stream): void {
    if (stream.queued) return;
    if (stream.sendWindow > 0 || stream.pendingAt === stream.pending!.length) {
      stream.queued = true;
      this.#ready.push(stream);
    }
    if (stream.sendWindow <= 0 || this.window <= 0) this.#watch(stream);
  }

  /** The connection's window is shut: nobody may hold answers for ever. */
  #watchReady(): void {
    for (const stream of this.#ready) if (stream.stalled?.active !== true) this.#watch(stream);
  }

  #watch(stream: Stream): void {
    stream.stalled ??= new Deadline(() => this.#options.events.stalled(stream));
    this.#options.deadlines.start(stream.stalled, this.#options.idleTimeout);
  }

  #writable(stream: Stream): boolean {
    if (this.out.size >= OUTPUT_HIGH) return false;
    return (stream.sendWindow > 0 && this.window > 0) ||
      stream.pendingAt === stream.pending!.length;
  }

  /** One DATA frame of what is pending. */
  #frame(stream: Stream): void {
    const bytes = stream.pending!;
    const from = stream.pendingAt;
    const size = Math.min(
      bytes.length - from,
      Math.max(0, Math.min(stream.sendWindow, this.window)),
      this.maxFrameSize,
      h2.DEFAULT_FRAME_SIZE,
    );
    const end = from + size;
    const last = end === bytes.length;
    stream.stalled?.stop();
    this.dataFrames++;
    if (size > 0 || stream.pendingEnd) {
      this.out.data(stream.id, last && stream.pendingEnd, { bytes, from, end });
    }
    stream.sendWindow -= size;
    this.window -= size;
    stream.pendingAt = end;
    if (!last) return;
    stream.pending = null;
    if (stream.pendingEnd) this.#closeLocal(stream);
  }

  #closeLocal(stream: Stream): void {
    stream.localClosed = true;
    this.#options.events.closedLocal(stream);
  }

  /** A block longer than a frame: HEADERS and CONTINUATION (RFC 9113 §6.10). */
  #split(stream: Stream, block: Uint8Array, endStream: boolean): void {
    for (let at = 0; at < block.length;) {
      const end = Math.min(block.length, at + this.maxFrameSize);
      const flags = (end === block.length ? h2.END_HEADERS : 0) |
        (at === 0 && endStream ? h2.END_STREAM : 0);
      const type = at === 0 ? h2.HEADERS : h2.CONTINUATION;
      this.out.frame(type, flags, { stream: stream.id, length: end - at });
      this.out.buffer.set(block.subarray(at, end), this.out.at);
      this.out.commit(this.out.at + end - at);
      at = end;
    }
  }
}

function listBound(list: HeaderList): number {
  let bound = 0;
  for (let i = 0; i < list.length; i += 2) bound += fieldBound(list[i]!, list[i + 1]!);
  return bound;
}
