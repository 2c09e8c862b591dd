/** The receiving half of a connection: what each frame may do, and when (RFC 9113 §5, §6). */
import type { Budget } from "./budget.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { FrameReader, readUint31 } from "./frame_reader.ts";
import type { Frame, FrameSink } from "./frame_reader.ts";
import { HeaderBlocks } from "./header_blocks.ts";
import { FieldBlock, HpackDecoder } from "./hpack_decoder.ts";
import { FloodGuard } from "./limits.ts";
import type { Http2Limit } from "./limits.ts";
import { applySettings } from "./peer_settings.ts";
import * as h2 from "./protocol.ts";
import type { Session } from "./session.ts";
import type { Stream } from "./stream.ts";

const { PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM } =
  h2.ErrorCode;

/** For its stream and for the connection, and some more for clients that are diligent. */
const WINDOW_UPDATES_PER_FRAME = 4;

export class Receiver implements FrameSink {
  readonly #session: Session;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder;
  readonly #block = new FieldBlock();
  readonly #blocks: HeaderBlocks;
  readonly #guard: FloodGuard;
  /** The peer's first SETTINGS have arrived. */
  #settled = false;
  /** Octets that the peer may send on all streams together, and those it has not been told of. */
  #window: number;
  #unannounced = 0;
  /** Frames that we had sent when the peer's answers to them were last counted. */
  #credited = 0;
  /** Of the DATA frame under way; null = its data is dropped. */
  #dataStream: Stream | null = null;

  constructor(session: Session) {
    const { limits, maxHeadBytes, clock } = session.options;
    this.#session = session;
    this.#guard = new FloodGuard(clock);
    this.#window = limits.connectionWindow;
    this.#decoder = new HpackDecoder(maxHeadBytes);
    this.#blocks = new HeaderBlocks({
      // More than is accepted, so that there can be an answer to what is somewhat too large.
      maxBytes: 2 * maxHeadBytes,
      maxContinuations: limits.maxContinuations,
    });
    this.#reader = new FrameReader(this, {
      maxFrameSize: h2.DEFAULT_FRAME_SIZE,
      preface: session.role.side === "server",
    });
  }

  /** @throws ConnectionError */
  push(chunk: Uint8Array): void {
    this.#reader.push(chunk);
  }

  /** See {@linkcode Session.consumed}; null = only the connection's window is concerned. */
  consumed(stream: Stream | null, octets: number): void {
    const session = this.#session;
    if (session.over) return;
    const { limits } = session.options;
    const { out } = session.sender;
    this.#unannounced += octets;
    if (this.#unannounced * 2 >= limits.connectionWindow) {
      out.windowUpdate(0, this.#unannounced);
      this.#window += this.#unannounced;
      this.#unannounced = 0;
      session.sender.schedule();
    }
    if (stream === null || stream.remoteClosed || stream.gone) return;
    stream.unannounced += octets;
    if (stream.unannounced * 2 < limits.streamWindow) return;
    out.windowUpdate(stream.id, stream.unannounced);
    stream.receiveWindow += stream.unannounced;
    stream.unannounced = 0;
    session.sender.schedule();
  }

  // ---- FrameSink ----------------------------------------------------------------------------

  frame(frame: Frame): void {
    if (this.#session.over) return;
    if (!this.#settled && (frame.type !== h2.SETTINGS || (frame.flags & h2.ACK) !== 0)) {
      throw new ConnectionError(PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
    const { stream } = this.#blocks;
    if (
      (stream !== 0) !== (frame.type === h2.CONTINUATION) ||
      (stream !== 0 && stream !== frame.stream)
    ) {
      throw new ConnectionError(PROTOCOL_ERROR, "header block and CONTINUATION do not fit");
    }
    try {
      this.#dispatch(frame);
    } catch (error) {
      this.#streamError(frame.stream, error);
    }
  }

  dataStart(id: number, length: number, data: number): void {
    this.#dataStream = null;
    const session = this.#session;
    if (session.over) return;
    if (!this.#settled || this.#blocks.stream !== 0 || id === 0) {
      throw new ConnectionError(PROTOCOL_ERROR, "DATA where it may not be");
    }
    if (length > this.#window) {
      throw new ConnectionError(FLOW_CONTROL_ERROR, "more DATA than the connection's window");
    }
    this.#window -= length;
    if (data === 0) this.#spend(this.#guard.empty, "h2_empty_frames");
    try {
      const stream = session.streams.get(id);
      if (stream !== undefined) {
        checkData(stream, length, data);
        stream.received += data;
        stream.receiveWindow -= length;
        this.#dataStream = stream;
        // Padding is consumed by its arrival.
        if (length > data) this.consumed(stream, length - data);
        return;
      }
      this.#closed(id, h2.DATA);
    } catch (error) {
      this.#streamError(id, error);
    }
    this.consumed(null, length);
  }

  dataPart(bytes: Uint8Array): void {
    const stream = this.#dataStream;
    if (stream === null) return;
    // The stream may have ended within its frame.
    if (stream.gone || stream.body === null) this.consumed(stream, bytes.length);
    else stream.body.push(bytes);
  }

  dataEnd(endStream: boolean): void {
    const stream = this.#dataStream;
    this.#dataStream = null;
    if (stream === null || stream.gone || !endStream) return;
    try {
      this.#endRemote(stream);
    } catch (error) {
      this.#streamError(stream.id, error);
    }
  }

  // -------------------------------------------------------------------------------------------

  #dispatch(frame: Frame): void {
    switch (frame.type) {
      case h2.HEADERS:
      case h2.CONTINUATION:
        return this.#headers(frame);
      case h2.PRIORITY:
        return this.#priority(frame);
      case h2.RST_STREAM:
        return this.#rstStream(frame);
      case h2.SETTINGS:
        return this.#settings(frame);
      case h2.PUSH_PROMISE:
        // A client may not send it, and a server was told not to (RFC 9113 §8.4).
        throw new ConnectionError(PROTOCOL_ERROR, "PUSH_PROMISE");
      case h2.PING:
        return this.#ping(frame);
      case h2.GOAWAY:
        return this.#goaway(frame);
      case h2.WINDOW_UPDATE:
        return this.#windowUpdate(frame);
      default:
        // RFC 9113 §5.5: unknown types are ignored.
        this.#spend(this.#guard.ignored, "h2_ignored_frames");
    }
  }

  #headers(frame: Frame): void {
    const id = frame.stream;
    if (id === 0) throw new ConnectionError(PROTOCOL_ERROR, "HEADERS on stream 0");
    if (frame.from === frame.end) this.#spend(this.#guard.empty, "h2_empty_frames");
    const session = this.#session;
    const first = frame.type === h2.HEADERS;
    const bytes = this.#blocks.add(frame);
    if (bytes === null) {
      if (first) session.role.blockPending(true);
      return;
    }
    if (!first) session.role.blockPending(false);
    const { endStream } = this.#blocks;
    // Decoded whatever becomes of the stream: both sides' tables must stay in step.
    this.#decoder.decode(bytes, this.#block);
    const stream = session.streams.get(id);
    if (stream !== undefined) {
      if (stream.remoteClosed) throw new StreamError(STREAM_CLOSED, "HEADERS after END_STREAM");
      stream.owner.headers(this.#block, endStream);
      if (endStream && !stream.gone) this.#endRemote(stream);
    } else if (session.role.side === "server" && id % 2 === 1 && id > session.lastPeerStream) {
      session.role.opened(id, this.#block, endStream);
    } else this.#closed(id, h2.HEADERS);
  }

  #endRemote(stream: Stream): void {
    if (stream.expected !== -1 && stream.received !== stream.expected) {
      throw new StreamError(PROTOCOL_ERROR, "less DATA than content-length");
    }
    this.#session.closedRemote(stream);
  }

  #priority(frame: Frame): void {
    if (frame.stream === 0) throw new ConnectionError(PROTOCOL_ERROR, "PRIORITY on stream 0");
    if (frame.end - frame.from !== 5) throw new StreamError(FRAME_SIZE_ERROR, "PRIORITY length");
    if (readUint31(frame.bytes, frame.from) === frame.stream) {
      throw new StreamError(PROTOCOL_ERROR, "a stream depends on itself");
    }
    // Priorities are gone since RFC 9113 (§5.3.2).
    this.#spend(this.#guard.ignored, "h2_ignored_frames");
  }

  #rstStream(frame: Frame): void {
    expectLength(frame, 4);
    const id = frame.stream;
    if (id === 0) throw new ConnectionError(PROTOCOL_ERROR, "RST_STREAM on stream 0");
    const session = this.#session;
    const stream = session.streams.get(id);
    this.#spendReset();
    if (stream !== undefined) session.wasReset(stream, readUint32(frame));
    else if (this.#isIdle(id)) throw new ConnectionError(PROTOCOL_ERROR, "RST_STREAM: idle stream");
  }

  #settings(frame: Frame): void {
    if (frame.stream !== 0) throw new ConnectionError(PROTOCOL_ERROR, "SETTINGS on a stream");
    if ((frame.flags & h2.ACK) !== 0) return expectLength(frame, 0);
    this.#spend(this.#guard.settings, "h2_settings");
    const session = this.#session;
    const { peer, sender, role } = session;
    const before = peer.initialWindowSize;
    applySettings(peer, frame, role.side === "client");
    sender.encoder.setCapacity(peer.headerTableSize);
    sender.maxFrameSize = peer.maxFrameSize;
    const change = peer.initialWindowSize - before;
    if (change !== 0) {
      for (const stream of session.streams.values()) {
        stream.sendWindow += change;
        if (stream.sendWindow > h2.MAX_WINDOW) {
          throw new ConnectionError(FLOW_CONTROL_ERROR, "SETTINGS overflow a window");
        }
      }
    }
    sender.out.settingsAck();
    if (change > 0) { for (const stream of session.streams.values()) sender.windowOpened(stream); }
    const first = !this.#settled;
    this.#settled = true;
    if (first) role.ready();
    role.changed();
  }

  #ping(frame: Frame): void {
    expectLength(frame, 8);
    if (frame.stream !== 0) throw new ConnectionError(PROTOCOL_ERROR, "PING on a stream");
    if ((frame.flags & h2.ACK) !== 0) return this.#session.role.pingAcked();
    this.#credit();
    this.#spend(this.#guard.pings, "h2_pings");
    this.#session.sender.out.ping(frame.bytes.subarray(frame.from, frame.end), true);
  }

  #goaway(frame: Frame): void {
    if (frame.stream !== 0) throw new ConnectionError(PROTOCOL_ERROR, "GOAWAY on a stream");
    if (frame.end - frame.from < 8) throw new ConnectionError(FRAME_SIZE_ERROR, "GOAWAY length");
    this.#spend(this.#guard.settings, "h2_settings");
    const last = readUint31(frame.bytes, frame.from);
    frame.from += 4;
    this.#session.role.goaway(last, readUint32(frame));
  }

  #windowUpdate(frame: Frame): void {
    expectLength(frame, 4);
    this.#credit();
    this.#spend(this.#guard.windowUpdates, "h2_window_updates");
    const increment = readUint31(frame.bytes, frame.from);
    const { sender, streams } = this.#session;
    if (frame.stream === 0) {
      if (increment === 0) throw new ConnectionError(PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      sender.window += increment;
      if (sender.window > h2.MAX_WINDOW) {
        throw new ConnectionError(FLOW_CONTROL_ERROR, "WINDOW_UPDATE overflows the window");
      }
      return sender.windowOpened(null);
    }
    const stream = streams.get(frame.stream);
    if (stream === undefined) {
      if (!this.#isIdle(frame.stream)) return;
      throw new ConnectionError(PROTOCOL_ERROR, "WINDOW_UPDATE: idle stream");
    }
    if (increment === 0) throw new StreamError(PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
    stream.sendWindow += increment;
    if (stream.sendWindow > h2.MAX_WINDOW) {
      throw new StreamError(FLOW_CONTROL_ERROR, "WINDOW_UPDATE overflows the window");
    }
    sender.windowOpened(stream);
  }

  // ---- what is not allowed ------------------------------------------------------------------

  #isIdle(id: number): boolean {
    const { lastPeerStream, lastOwnStream } = this.#session;
    return id > (this.#session.isPeers(id) ? lastPeerStream : lastOwnStream);
  }

  /** DATA or HEADERS for a stream that is not open. */
  #closed(id: number, type: number): void {
    if (this.#isIdle(id)) throw new ConnectionError(PROTOCOL_ERROR, "a frame on an idle stream");
    switch (this.#session.recent.endOf(id)) {
      case "reset":
        return;
      case "done":
        throw new ConnectionError(STREAM_CLOSED, "a frame on a stream that is closed");
      case "unknown":
        // Its number was never used (RFC 9113 §5.1.1), or long ago.
        if (type === h2.HEADERS) throw new ConnectionError(PROTOCOL_ERROR, "an old stream number");
        throw new StreamError(STREAM_CLOSED, "DATA on a stream that is closed");
    }
  }

  /**
   * A mistake on one stream ends that stream. It counts as a reset of the peer's: having streams
   * reset by mistakes on purpose starts as much work for nothing (CVE-2025-8671).
   */
  #streamError(id: number, error: unknown): void {
    if (!(error instanceof StreamError)) throw error;
    this.#spendReset();
    const session = this.#session;
    const stream = session.streams.get(id);
    if (stream === undefined) session.refuse(id, error.code);
    else session.reset(stream, error.code, error.message);
  }

  /** A server can only end what it was asked for: that needs no bound. */
  #spendReset(): void {
    if (this.#session.role.side === "server") this.#spend(this.#guard.resets, "h2_resets");
  }

  /** Who is sent data opens windows, and may measure with a PING how fast it comes. */
  #credit(): void {
    const { dataFrames } = this.#session.sender;
    const sent = dataFrames - this.#credited;
    if (sent === 0) return;
    this.#credited = dataFrames;
    this.#guard.windowUpdates.earn(WINDOW_UPDATES_PER_FRAME * sent);
    this.#guard.pings.earn(sent);
  }

  #spend(budget: Budget, limit: Http2Limit): void {
    if (budget.spend()) return;
    this.#session.role.limit(limit);
    throw new ConnectionError(ENHANCE_YOUR_CALM, limit);
  }
}

function checkData(stream: Stream, length: number, data: number): void {
  if (stream.remoteClosed) throw new StreamError(STREAM_CLOSED, "DATA after END_STREAM");
  if (length > stream.receiveWindow) {
    throw new StreamError(FLOW_CONTROL_ERROR, "more DATA than the stream's window");
  }
  if (stream.expected !== -1 && stream.received + data > stream.expected) {
    throw new StreamError(PROTOCOL_ERROR, "more DATA than content-length");
  }
}

function expectLength(frame: Frame, length: number): void {
  if (frame.end - frame.from === length) return;
  throw new ConnectionError(FRAME_SIZE_ERROR, "frame of a wrong length");
}

function readUint32({ bytes, from }: Frame): number {
  return ((bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) |
    bytes[from + 3]!) >>> 0;
}
