/** Request bodies of the HTTP/1.1 codec: by length or chunked, read on demand. */
import { ChunkedDecoder } from "../upstream/chunked.ts";
import type { BodyReader } from "../request/types.ts";
import type { InputBuffer } from "./http1_input.ts";

/** `timeout` and `too_large` are told apart in the answer; the rest is broken framing. */
export type BodyErrorKind = "framing" | "truncated" | "cancelled" | "too_large" | "timeout";

/** The body stopped before its framing said so. */
export class BodyError extends Error {
  override readonly name = "BodyError";
  constructor(readonly kind: BodyErrorKind, problem: string) {
    super(problem);
  }
}

/** A request body that knows whether the connection can carry another request after it. */
export interface FramedBody extends BodyReader {
  /** True when every byte of the body has been taken from the connection. */
  readonly complete: boolean;
}

/** What a body needs of its connection. */
export interface BodyOptions {
  input: InputBuffer;
  /** Called before the first read, for `Expect: 100-continue`. */
  onFirstRead: () => Promise<void>;
  /** Waits for more bytes of the input; false at its end. Rejects when they take too long. */
  fill: () => Promise<boolean>;
  /** Bytes; 0 = no bound. */
  maxBytes: number;
  /** Called once, when every byte of the body has been taken from the connection. */
  onComplete: () => void;
}

/** A body of known length. */
export class LengthBody implements FramedBody {
  readonly length: number;
  readonly #options: BodyOptions;
  #left: number;
  #started = false;
  #cancelled = false;

  constructor(length: number, options: BodyOptions) {
    this.length = length;
    this.#left = length;
    this.#options = options;
  }

  get complete(): boolean {
    return this.#left === 0;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#cancelled) throw new BodyError("cancelled", "the body was given up");
    if (this.#left === 0) return null;
    if (!this.#started) {
      this.#started = true;
      await this.#options.onFirstRead();
    }
    const { input } = this.#options;
    if (input.size === 0) {
      if (!await this.#options.fill()) {
        throw new BodyError("truncated", "the client closed before the end of the body");
      }
    }
    const chunk = input.take(Math.min(this.#left, input.size));
    this.#left -= chunk.length;
    if (this.#left === 0) this.#options.onComplete();
    return chunk;
  }

  cancel(): void {
    this.#cancelled = true;
  }
}

/** A chunked body. */
export class ChunkedBody implements FramedBody {
  readonly length = -1;
  readonly #options: BodyOptions;
  readonly #decoder = new ChunkedDecoder();
  #bytes = 0;
  #started = false;
  #cancelled = false;

  constructor(options: BodyOptions) {
    this.#options = options;
  }

  get complete(): boolean {
    return this.#decoder.done;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#cancelled) throw new BodyError("cancelled", "the body was given up");
    if (!this.#started) {
      this.#started = true;
      await this.#options.onFirstRead();
    }
    const { input } = this.#options;
    let waitForMore = input.size === 0;
    while (!this.#decoder.done) {
      if (waitForMore) {
        if (!await this.#options.fill()) {
          throw new BodyError("truncated", "the client closed before the last chunk");
        }
      }
      const chunk = this.#decode(input);
      if (chunk !== undefined) return chunk;
      waitForMore = true;
    }
    return null;
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** Decodes what has arrived; undefined when it held no data. */
  #decode(input: InputBuffer): Uint8Array | undefined {
    const { bytes, start, end } = input;
    let dataEnd: number;
    try {
      dataEnd = this.#decoder.decode(bytes, start, end);
    } catch (error) {
      throw new BodyError("framing", (error as Error).message);
    }
    // Copied before the input moves on: decoding happened in place.
    const data = dataEnd > start ? bytes.slice(start, dataEnd) : undefined;
    input.skip(this.#decoder.next - start);
    if (this.#decoder.done) this.#options.onComplete();
    this.#bytes += data?.length ?? 0;
    const { maxBytes } = this.#options;
    if (maxBytes > 0 && this.#bytes > maxBytes) {
      throw new BodyError("too_large", "the body is larger than the limit");
    }
    return data;
  }
}
