/** Decodes the chunked transfer coding in place (RFC 9112 §7.1). */
import { UpstreamError } from "./errors.ts";

const CR = 13;
const LF = 10;
const MAX_SIZE_LINE = 1024;
const MAX_TRAILERS = 16 * 1024;

type Phase = "size" | "data" | "data_end" | "trailer" | "done";

/**
 * One body's decoder. {@linkcode ChunkedDecoder.decode} moves the data of all chunks in the bytes
 * given together, in place: data only ever moves towards the start.
 */
export class ChunkedDecoder {
  /** After decode(): where the bytes not yet consumed start. */
  next = 0;
  #phase: Phase = "size";
  #remaining = 0;
  #trailers = 0;

  get done(): boolean {
    return this.#phase === "done";
  }

  /**
   * Decodes what `[from, end)` holds.
   *
   * @returns the end of the data, which starts at `from`; the rest starts at `next`
   * @throws UpstreamError `protocol` on bad framing
   */
  decode(buffer: Uint8Array, from: number, end: number): number {
    let at = from;
    let out = from;
    while (at < end && this.#phase !== "done") {
      if (this.#phase === "data") {
        const size = Math.min(this.#remaining, end - at);
        if (out !== at) buffer.copyWithin(out, at, at + size);
        out += size;
        at += size;
        this.#remaining -= size;
        if (this.#remaining === 0) this.#phase = "data_end";
        continue;
      }
      if (this.#phase === "data_end") {
        if (end - at < 2) break;
        if (buffer[at] !== CR || buffer[at + 1] !== LF) throw bad("chunk end");
        at += 2;
        this.#phase = "size";
        continue;
      }
      const line = this.#lineEnd(buffer, at, end);
      if (line === -1) break;
      if (this.#phase === "size") {
        this.#remaining = parseSize(buffer, at, line);
        this.#phase = this.#remaining === 0 ? "trailer" : "data";
      } else if (line === at) this.#phase = "done";
      else {
        // Trailers are dropped: the engines in front have no place for them yet.
        this.#trailers += line - at;
        if (this.#trailers > MAX_TRAILERS) throw bad("trailers: too long");
      }
      at = line + 2;
    }
    this.next = at;
    return out;
  }

  /** Index of the CR that ends the line, or -1 when the line is not whole yet. */
  #lineEnd(buffer: Uint8Array, from: number, end: number): number {
    const limit = this.#phase === "size" ? MAX_SIZE_LINE : MAX_TRAILERS;
    for (let i = from; i < end; i++) {
      if (i - from > limit) throw bad("line: too long");
      const byte = buffer[i];
      if (byte === LF) throw bad("line end");
      if (byte === CR) {
        if (i + 1 >= end) return -1;
        if (buffer[i + 1] !== LF) throw bad("line end");
        return i;
      }
    }
    return -1;
  }
}

function parseSize(buffer: Uint8Array, from: number, end: number): number {
  let size = 0;
  let at = from;
  for (; at < end; at++) {
    const byte = buffer[at]!;
    const digit = byte >= 48 && byte <= 57
      ? byte - 48
      : byte >= 97 && byte <= 102
      ? byte - 87
      : byte >= 65 && byte <= 70
      ? byte - 55
      : -1;
    if (digit === -1) break;
    if (at - from >= 12) throw bad("chunk size: too large");
    size = size * 16 + digit;
  }
  // After the size only an extension may follow (`;…`, blanks allowed before it, RFC 9112 §7.1.1).
  let rest = at;
  while (rest < end && (buffer[rest] === 32 || buffer[rest] === 9)) rest++;
  if (at === from || (rest < end && buffer[rest] !== 59)) throw bad("chunk size");
  return size;
}

function bad(what: string): UpstreamError {
  return new UpstreamError("protocol", `chunked body: bad ${what}`);
}
