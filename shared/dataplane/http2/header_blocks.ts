/** Puts header blocks together that come in several frames (RFC 9113 §6.10). */
import { ConnectionError } from "./errors.ts";
import { trimHeaders } from "./frame_reader.ts";
import type { Frame } from "./frame_reader.ts";
import * as h2 from "./protocol.ts";

export interface HeaderBlockLimits {
  /** Octets of a block as it is sent. */
  maxBytes: number;
  maxContinuations: number;
}

/** A block that cannot be decoded any more cannot be skipped either: HPACK has a state. */
export class BlockLimitError extends ConnectionError {
  constructor() {
    super(h2.ErrorCode.ENHANCE_YOUR_CALM, "header block too long, or in too many pieces");
  }
}

/** Memory: the pieces of one block, at most `maxBytes` and one frame. */
export class HeaderBlocks {
  /** The stream whose block is under way; 0 = none. Nothing else may come before its end. */
  stream = 0;
  endStream = false;
  readonly #limits: HeaderBlockLimits;
  #pieces: Uint8Array[] = [];
  #size = 0;

  constructor(limits: HeaderBlockLimits) {
    this.#limits = limits;
  }

  /**
   * A HEADERS or CONTINUATION frame.
   *
   * @returns the block when it is whole; valid as long as the frame
   * @throws ConnectionError
   */
  add(frame: Frame): Uint8Array | null {
    const whole = (frame.flags & h2.END_HEADERS) !== 0;
    if (frame.type === h2.HEADERS) {
      const dependency = trimHeaders(frame);
      if (dependency === frame.stream) {
        throw new ConnectionError(h2.ErrorCode.PROTOCOL_ERROR, "a stream depends on itself");
      }
      this.endStream = (frame.flags & h2.END_STREAM) !== 0;
      if (whole) return this.#bounded(frame.bytes.subarray(frame.from, frame.end));
      this.stream = frame.stream;
    } else if (this.#pieces.length >= this.#limits.maxContinuations) throw new BlockLimitError();
    this.#size += frame.end - frame.from;
    if (this.#size > this.#limits.maxBytes) throw new BlockLimitError();
    this.#pieces.push(new Uint8Array(frame.bytes.subarray(frame.from, frame.end)));
    if (!whole) return null;
    const block = new Uint8Array(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      block.set(piece, at);
      at += piece.length;
    }
    this.stream = 0;
    this.#pieces = [];
    this.#size = 0;
    return block;
  }

  #bounded(block: Uint8Array): Uint8Array {
    if (block.length > this.#limits.maxBytes) throw new BlockLimitError();
    return block;
  }
}
