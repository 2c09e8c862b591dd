/** Frames on their way out, put together until the transport takes them. */
import { Buffer } from "node:buffer";
import { OUTPUT_HIGH } from "./limits.ts";
import * as h2 from "./protocol.ts";

/** Octets of the buffers that small frames share. */
const SLAB = 16 * 1024;
/** What waits in a buffer that is full moves to the next one up to this; more stays where it is. */
const MOVED = 2 * 1024;

/**
 * Frames of one turn leave as one piece where they can. What was taken is never written to again:
 * the transport may still hold it. Memory: what nobody has taken yet, and one slab.
 */
export class Output {
  /** Octets that wait. */
  size = 0;
  readonly #sealed: Uint8Array[] = [];
  #slab: Uint8Array = new Uint8Array(0);
  #from = 0;
  #at = 0;

  /**
   * Room for `octets` in one piece: write into `buffer` from `at` on, then {@linkcode commit}.
   *
   * @param more what is going to follow soon, so that it finds room as well
   */
  reserve(octets: number, more = 0): void {
    if (this.#slab.length - this.#at >= octets) return;
    const last = this.#slab.subarray(this.#from, this.#at);
    const moved = last.length <= MOVED ? last.length : 0;
    this.#slab = Buffer.allocUnsafeSlow(
      Math.max(SLAB, moved + octets + Math.min(more, OUTPUT_HIGH)),
    );
    this.#from = 0;
    this.#at = moved;
    if (moved > 0) this.#slab.set(last);
    else if (last.length > 0) this.#sealed.push(last);
  }

  get buffer(): Uint8Array {
    return this.#slab;
  }

  get at(): number {
    return this.#at;
  }

  /** Everything up to `at` is part of the output. */
  commit(at: number): void {
    this.size += at - this.#at;
    this.#at = at;
  }

  /** What waits, as one piece. */
  take(): Uint8Array {
    const last = this.#slab.subarray(this.#from, this.#at);
    this.#from = this.#at;
    const size = this.size;
    this.size = 0;
    // An empty slab of a large size is not kept for later.
    if (this.#slab.length > SLAB) {
      this.#slab = EMPTY;
      this.#from = this.#at = 0;
    }
    if (this.#sealed.length === 0) return last;
    const whole = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (const part of this.#sealed) {
      whole.set(part, at);
      at += part.length;
    }
    whole.set(last, at);
    this.#sealed.length = 0;
    return whole;
  }

  /** Writes the head of a frame; its payload follows. */
  frame(type: number, flags: number, head: { stream: number; length: number }): void {
    this.reserve(h2.FRAME_HEADER + head.length);
    writeFrameHeader(this.#slab, this.#at, { type, flags, ...head });
    this.commit(this.#at + h2.FRAME_HEADER);
  }

  /** What a client sends before anything else. */
  preface(): void {
    const { length } = h2.PREFACE;
    this.reserve(length);
    for (let i = 0; i < length; i++) this.#slab[this.#at + i] = h2.PREFACE.charCodeAt(i);
    this.commit(this.#at + length);
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    this.frame(h2.SETTINGS, 0, { stream: 0, length: values.length * 6 });
    for (const [id, value] of values) {
      this.#slab[this.#at] = id >>> 8;
      this.#slab[this.#at + 1] = id;
      this.commit(this.#at + 2);
      this.#uint32(value);
    }
  }

  settingsAck(): void {
    this.frame(h2.SETTINGS, h2.ACK, { stream: 0, length: 0 });
  }

  /** @param opaque 8 octets */
  ping(opaque: Uint8Array, ack: boolean): void {
    this.frame(h2.PING, ack ? h2.ACK : 0, { stream: 0, length: 8 });
    this.#slab.set(opaque, this.#at);
    this.commit(this.#at + 8);
  }

  goaway(lastStream: number, code: number): void {
    this.frame(h2.GOAWAY, 0, { stream: 0, length: 8 });
    this.#uint32(lastStream);
    this.#uint32(code);
  }

  resetStream(stream: number, code: number): void {
    this.frame(h2.RST_STREAM, 0, { stream, length: 4 });
    this.#uint32(code);
  }

  windowUpdate(stream: number, increment: number): void {
    this.frame(h2.WINDOW_UPDATE, 0, { stream, length: 4 });
    this.#uint32(increment);
  }

  /** One DATA frame with `bytes[from, end)`. */
  data(stream: number, endStream: boolean, part: { bytes: Uint8Array; from: number; end: number }) {
    const { bytes, from, end } = part;
    const size = end - from;
    // Room for the frames that follow as well: what is put together is copied once only.
    const rest = bytes.length - end;
    this.reserve(h2.FRAME_HEADER + size, rest + h2.FRAME_HEADER * Math.ceil(rest / (size || 1)));
    const at = this.#at;
    writeFrameHeader(this.#slab, at, {
      type: h2.DATA,
      flags: endStream ? h2.END_STREAM : 0,
      stream,
      length: size,
    });
    if (size > 0) {
      this.#slab.set(
        from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end),
        at + h2.FRAME_HEADER,
      );
    }
    this.commit(at + h2.FRAME_HEADER + size);
  }

  #uint32(value: number): void {
    const at = this.#at;
    this.#slab[at] = value >>> 24;
    this.#slab[at + 1] = value >>> 16;
    this.#slab[at + 2] = value >>> 8;
    this.#slab[at + 3] = value;
    this.commit(at + 4);
  }
}

const EMPTY = new Uint8Array(0);

interface FrameHeader {
  type: number;
  flags: number;
  stream: number;
  length: number;
}

/** RFC 9113 §4.1. */
export function writeFrameHeader(target: Uint8Array, at: number, head: FrameHeader): void {
  const { length, stream } = head;
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = head.type;
  target[at + 4] = head.flags;
  target[at + 5] = stream >>> 24;
  target[at + 6] = stream >>> 16;
  target[at + 7] = stream >>> 8;
  target[at + 8] = stream;
}
