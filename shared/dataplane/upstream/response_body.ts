/** The body of an endpoint's answer, pulled from its connection. */
import type { BodyReader } from "../request/types.ts";
import type { ChunkedDecoder } from "./chunked.ts";
import { UpstreamError } from "./errors.ts";

/** What a body needs of the connection it is on. */
export interface ConnectionWindow {
  buffer(): Uint8Array;
  /** The bytes held are `[start, end)` of the buffer. */
  start(): number;
  end(): number;
  consume(to: number): void;
  /** Reads more; answered by arrived() or ended() of the body. */
  more(): void;
  /** Bytes came; nobody waits for the endpoint until more() is called again. */
  arrived(): void;
  finished(): void;
  failed(error: UpstreamError): void;
}

interface UpstreamBodyOptions {
  /** Bytes, or -1 when chunks or the end of the connection tell. */
  length: number;
  /** Null: by length, or until the connection ends. */
  decoder: ChunkedDecoder | null;
  /** Decoded bytes that came with the head. */
  pending: [number, number] | null;
  window: ConnectionWindow;
}

/** By content-length, chunked, or until the endpoint closes (RFC 9112 §6.3). */
export class UpstreamBody implements BodyReader {
  readonly length: number;
  #remaining: number;
  readonly #decoder: ChunkedDecoder | null;
  readonly #window: ConnectionWindow;
  #pending: [number, number] | null;
  #state: "open" | "done" | "failed" = "open";
  #error: UpstreamError | null = null;
  #resolve: ((chunk: Uint8Array | null) => void) | null = null;
  #reject: ((error: UpstreamError) => void) | null = null;

  constructor(options: UpstreamBodyOptions) {
    this.length = options.length;
    this.#remaining = options.length;
    this.#decoder = options.decoder;
    this.#window = options.window;
    const pending = options.pending;
    this.#pending = pending !== null && pending[1] > pending[0] ? pending : null;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#state === "failed") return Promise.reject(this.#error);
    if (this.#state === "done") return Promise.resolve(null);
    const pending = this.#pending;
    if (pending !== null) {
      this.#pending = null;
      return Promise.resolve(this.#window.buffer().subarray(pending[0], pending[1]));
    }
    const chunk = this.#take();
    if (chunk !== undefined) return Promise.resolve(chunk);
    if (this.#error !== null) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#window.more();
    });
  }

  cancel(reason?: unknown): void {
    if (this.#state !== "open") return;
    const error = new UpstreamError("aborted", "body given up", { cause: reason });
    this.fail(error);
    this.#window.failed(error);
  }

  /** The connection holds more bytes. */
  arrived(): void {
    this.#window.arrived();
    const resolve = this.#resolve;
    if (resolve === null) return;
    const chunk = this.#take();
    if (chunk === undefined) {
      if (this.#state === "open") this.#window.more();
      return;
    }
    this.#resolve = this.#reject = null;
    resolve(chunk);
  }

  /** The endpoint closed the connection. */
  ended(): void {
    if (this.#state !== "open") return;
    this.#window.arrived();
    if (this.#decoder !== null || this.length !== -1) {
      const error = new UpstreamError("reset", "closed in the middle of the body");
      this.fail(error);
      this.#window.failed(error);
      return;
    }
    this.#state = "done";
    const resolve = this.#resolve;
    this.#resolve = this.#reject = null;
    this.#window.finished();
    resolve?.(null);
  }

  fail(error: UpstreamError): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#error = error;
    const reject = this.#reject;
    this.#resolve = this.#reject = null;
    reject?.(error);
  }

  /**
   * The next bytes out of what is held, null at the end, undefined when more must be read. The
   * exchange ends one call after its last bytes: until then the buffer they are in stays untouched.
   */
  #take(): Uint8Array | null | undefined {
    const window = this.#window;
    const start = window.start();
    const end = window.end();
    if (this.#decoder !== null) {
      if (this.#decoder.done) return this.#finish();
      if (start === end) return undefined;
      let dataEnd: number;
      try {
        dataEnd = this.#decoder.decode(window.buffer(), start, end);
      } catch (error) {
        const failure = error instanceof UpstreamError
          ? error
          : new UpstreamError("protocol", "chunked body", { cause: error });
        this.fail(failure);
        window.failed(failure);
        return undefined;
      }
      window.consume(this.#decoder.next);
      if (dataEnd > start) return window.buffer().subarray(start, dataEnd);
      return this.#decoder.done ? this.#finish() : undefined;
    }
    if (this.#remaining === 0) return this.#finish();
    if (start === end) return undefined;
    const size = this.#remaining === -1 ? end - start : Math.min(this.#remaining, end - start);
    if (this.#remaining !== -1) this.#remaining -= size;
    window.consume(start + size);
    return window.buffer().subarray(start, start + size);
  }

  #finish(): null {
    this.#state = "done";
    this.#window.finished();
    return null;
  }
}
