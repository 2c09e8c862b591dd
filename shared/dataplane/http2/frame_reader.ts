/** Cuts received bytes into frames (RFC 9113 §4.1). */
import { ConnectionError } from "./errors.ts";
import * as h2 from "./protocol.ts";

/** A frame whose payload is at hand: `bytes[from, end)`, valid during the call. */
export interface Frame {
  type: number;
  flags: number;
  stream: number;
  bytes: Uint8Array;
  from: number;
  end: number;
}

/** Where frames go. What it throws ends the reading. */
export interface FrameSink {
  /** Any frame but DATA. The object is reused. */
  frame(frame: Frame): void;
  /**
   * A DATA frame begins.
   *
   * @param length all of its payload, which is what flow control counts
   * @param data how much of that is data, and not padding
   */
  dataStart(stream: number, length: number, data: number): void;
  /** A part of the data; it belongs to whoever gave the bytes to the reader. */
  dataPart(bytes: Uint8Array): void;
  dataEnd(endStream: boolean): void;
}

const EMPTY = new Uint8Array(0);

export interface FrameReaderOptions {
  /** Octets of the largest frame that was allowed. */
  maxFrameSize: number;
  /** Whether the preface of a client comes first. */
  preface: boolean;
}

/**
 * DATA is handed on as it arrives; any other frame is held until it is whole, which bounds what is
 * held to one frame. However the bytes are cut into pieces, the same frames come out.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxFrameSize: number;
  readonly #frame: Frame = { type: 0, flags: 0, stream: 0, bytes: EMPTY, from: 0, end: 0 };
  #preface: boolean;
  /** The beginning of a frame. */
  #held: Uint8Array = EMPTY;
  /** Octets of the current DATA frame still to come; -1 = none is under way. */
  #data = -1;
  #padding = 0;
  #endStream = false;

  constructor(sink: FrameSink, options: FrameReaderOptions) {
    this.#sink = sink;
    this.#maxFrameSize = options.maxFrameSize;
    this.#preface = options.preface;
  }

  /**
   * Reads all frames that are whole with these bytes.
   *
   * @throws ConnectionError, and what the sink throws; the reader is of no use afterwards
   */
  push(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + chunk.length);
      bytes.set(this.#held);
      bytes.set(chunk, this.#held.length);
      this.#held = EMPTY;
    }
    let at = 0;
    if (this.#preface) {
      at = this.#readPreface(bytes);
      if (at === 0) return;
    }
    for (;;) {
      if (this.#data !== -1) {
        at = this.#readData(bytes, at);
        if (this.#data !== -1) return;
      }
      const next = this.#readFrame(bytes, at);
      if (next === at) break;
      at = next;
    }
    // A copy, since the rest of the chunk may be much larger; `slice` of a Buffer would not be one.
    if (at < bytes.length) this.#held = new Uint8Array(bytes.subarray(at));
  }

  #readPreface(bytes: Uint8Array): number {
    const size = h2.PREFACE.length;
    for (let i = 0; i < bytes.length && i < size; i++) {
      if (bytes[i] !== h2.PREFACE.charCodeAt(i)) {
        throw new ConnectionError(h2.ErrorCode.PROTOCOL_ERROR, "bad connection preface");
      }
    }
    if (bytes.length < size) {
      this.#held = new Uint8Array(bytes);
      return 0;
    }
    this.#preface = false;
    return size;
  }

  /** One frame, or the head of a DATA frame; returns where the next begins, or `at` for none. */
  #readFrame(bytes: Uint8Array, at: number): number {
    if (bytes.length - at < h2.FRAME_HEADER) return at;
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    if (length > this.#maxFrameSize) {
      throw new ConnectionError(h2.ErrorCode.FRAME_SIZE_ERROR, "frame larger than allowed");
    }
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    const stream = ((bytes[at + 5]! & 127) << 24) | (bytes[at + 6]! << 16) |
      (bytes[at + 7]! << 8) | bytes[at + 8]!;
    const from = at + h2.FRAME_HEADER;
    if (type === h2.DATA) {
      let padding = 0;
      let data = length;
      let next = from;
      if ((flags & h2.PADDED) !== 0) {
        if (length === 0) throw new ConnectionError(h2.ErrorCode.FRAME_SIZE_ERROR, "no padding");
        if (from === bytes.length) return at;
        padding = bytes[from]!;
        data = length - 1 - padding;
        next++;
        if (data < 0) {
          throw new ConnectionError(h2.ErrorCode.PROTOCOL_ERROR, "more padding than frame");
        }
      }
      this.#sink.dataStart(stream, length, data);
      this.#data = data;
      this.#padding = padding;
      this.#endStream = (flags & h2.END_STREAM) !== 0;
      return next;
    }
    const end = from + length;
    if (end > bytes.length) return at;
    const frame = this.#frame;
    frame.type = type;
    frame.flags = flags;
    frame.stream = stream;
    frame.bytes = bytes;
    frame.from = from;
    frame.end = end;
    this.#sink.frame(frame);
    frame.bytes = EMPTY;
    return end;
  }

  /** What is there of the current DATA frame. */
  #readData(bytes: Uint8Array, from: number): number {
    let at = from;
    const size = Math.min(this.#data, bytes.length - at);
    if (size > 0) {
      this.#sink.dataPart(bytes.subarray(at, at + size));
      this.#data -= size;
      at += size;
    }
    if (this.#data > 0) return at;
    const skipped = Math.min(this.#padding, bytes.length - at);
    this.#padding -= skipped;
    at += skipped;
    if (this.#padding > 0) return at;
    this.#data = -1;
    this.#sink.dataEnd(this.#endStream);
    return at;
  }
}

/**
 * Takes padding and priority off a HEADERS frame (RFC 9113 §6.2) by moving `from` and `end`.
 *
 * @returns the stream it says it depends on, or -1
 * @throws ConnectionError
 */
export function trimHeaders(frame: Frame): number {
  if ((frame.flags & h2.PADDED) !== 0) {
    const padding = frame.bytes[frame.from++]!;
    if (frame.from > frame.end) {
      throw new ConnectionError(h2.ErrorCode.FRAME_SIZE_ERROR, "no padding");
    }
    frame.end -= padding;
  }
  let dependency = -1;
  if ((frame.flags & h2.HAS_PRIORITY) !== 0) {
    dependency = readUint31(frame.bytes, frame.from);
    frame.from += 5;
  }
  if (frame.from > frame.end) {
    throw new ConnectionError(h2.ErrorCode.PROTOCOL_ERROR, "more padding than frame");
  }
  return dependency;
}

/** 31 bits; the first is reserved. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 127) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) |
    bytes[at + 3]!;
}
