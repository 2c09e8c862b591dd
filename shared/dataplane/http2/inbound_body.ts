/** A body that arrives on a stream: pulled by its reader, which is what opens its window again. */
import type { BodyReader, HeaderList } from "../request/types.ts";

/** Pieces below this are put together, so that many small frames do not cost an object each. */
const SMALL = 1024;
const GATHER = 4 * 1024;

/** What a body tells the stream that it is on. */
export interface BodySource {
  /** The reader took this many octets. */
  consumed(octets: number): void;
  /** This many octets are not going to be read. */
  dropped(octets: number): void;
  /** The reader waits for data, or does so no longer. */
  waits(waiting: boolean): void;
  /** The reader gave up; octets that nobody read are dropped already. */
  cancelled(reason: unknown): void;
}

interface Waiter {
  resolve: (chunk: Uint8Array | null) => void;
  reject: (error: unknown) => void;
}

/** Memory: what the windows of stream and connection allow, and a quarter of it again. */
export class InboundBody implements BodyReader {
  readonly length: number;
  trailers: HeaderList | null = null;
  readonly #source: BodySource;
  #pieces: Uint8Array[] = [];
  #next = 0;
  /** Octets of the last piece that are in use, when it is one of ours with room left; else -1. */
  #filled = -1;
  /** Octets that nobody read, and how many of them are no longer counted by a window. */
  #held = 0;
  #preloaded = 0;
  #waiter: Waiter | null = null;
  #state: "open" | "ended" | "failed" = "open";
  #error: unknown;

  /** @param length octets, or -1 when only the end of the stream will tell */
  constructor(length: number, source: BodySource) {
    this.length = length;
    this.#source = source;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#state === "failed") return Promise.reject(this.#error);
    const piece = this.#shift();
    if (piece !== null) {
      if (this.#preloaded > 0) this.#preloaded = 0;
      else this.#source.consumed(piece.length);
      return Promise.resolve(piece);
    }
    if (this.#state === "ended") return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#source.waits(true);
    });
  }

  cancel(reason?: unknown): void {
    if (this.#state === "failed") return;
    const open = this.#state === "open" || this.#held > 0;
    this.fail(new Error("the body was given up", { cause: reason }));
    if (open) this.#source.cancelled(reason);
  }

  /** Data arrived; it belongs to the body. */
  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    if (this.#state !== "open") return this.#source.dropped(piece.length);
    const waiter = this.#waiter;
    if (waiter !== null) {
      this.#waiter = null;
      this.#source.waits(false);
      this.#source.consumed(piece.length);
      waiter.resolve(piece);
      return;
    }
    this.#held += piece.length;
    this.#keep(piece);
  }

  /** Data that was consumed already, as far as windows are concerned. */
  preload(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pieces.push(bytes);
    this.#preloaded = bytes.length;
    this.#held += bytes.length;
  }

  /** Everything has arrived. */
  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#settle((waiter) => waiter.resolve(null));
  }

  /** Nothing more is going to arrive; what nobody read is dropped. */
  fail(error: unknown): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    this.#error = error;
    this.#pieces = [];
    this.#next = 0;
    this.#filled = -1;
    const held = this.#held - this.#preloaded;
    this.#held = this.#preloaded = 0;
    if (held > 0) this.#source.dropped(held);
    this.#settle((waiter) => waiter.reject(error));
  }

  #settle(how: (waiter: Waiter) => void): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    this.#waiter = null;
    this.#source.waits(false);
    how(waiter);
  }

  /** A small piece would keep all of the buffer that it came in. */
  #keep(piece: Uint8Array): void {
    if (piece.length >= SMALL && piece.length * 4 >= piece.buffer.byteLength) {
      this.#seal();
      this.#pieces.push(piece);
      return;
    }
    const last = this.#filled === -1 ? undefined : this.#pieces.at(-1);
    if (last !== undefined && last.length - this.#filled >= piece.length) {
      last.set(piece, this.#filled);
      this.#filled += piece.length;
      return;
    }
    this.#seal();
    const gathered = new Uint8Array(Math.max(GATHER, piece.length));
    gathered.set(piece);
    this.#pieces.push(gathered);
    this.#filled = piece.length;
  }

  /** Nothing more goes into the last piece. */
  #seal(): void {
    if (this.#filled === -1) return;
    const last = this.#pieces.pop()!;
    this.#pieces.push(last.subarray(0, this.#filled));
    this.#filled = -1;
  }

  #shift(): Uint8Array | null {
    if (this.#next >= this.#pieces.length) return null;
    if (this.#next === this.#pieces.length - 1) this.#seal();
    const piece = this.#pieces[this.#next]!;
    this.#pieces[this.#next++] = EMPTY;
    if (this.#next === this.#pieces.length) {
      this.#pieces = [];
      this.#next = 0;
    }
    this.#held -= piece.length;
    return piece;
  }
}

const EMPTY = new Uint8Array(0);
