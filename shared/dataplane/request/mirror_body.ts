/** A request body that goes to its endpoint and, as it passes, to mirrors. */
import type { BodyReader, HeaderList } from "./types.ts";

/** Why a mirror's body ends before the client's did. */
export class MirrorCut extends Error {
  override readonly name = "MirrorCut";
}

/**
 * One mirror's copy. What the mirror has not taken yet is held up to a bound; beyond, the mirror is
 * cut, since waiting for it would make the client wait.
 */
export class MirrorBody implements BodyReader {
  readonly length: number;
  trailers: HeaderList | null = null;
  readonly #max: number;
  #held: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #error: unknown = undefined;
  #wake: (() => void) | null = null;

  constructor(length: number, max: number) {
    this.length = length;
    this.#max = max;
  }

  /** Takes a chunk that nobody changes any more. */
  push(chunk: Uint8Array): void {
    if (this.#error !== undefined) return;
    if (this.#bytes + chunk.length > this.#max) return this.fail(new MirrorCut("too slow"));
    this.#bytes += chunk.length;
    this.#held.push(chunk);
    this.#notify();
  }

  /** The client's body is whole. */
  end(trailers: HeaderList | null): void {
    this.#ended = true;
    this.trailers = trailers;
    this.#notify();
  }

  /** There will be no more; nothing happens after the end. */
  fail(error: unknown): void {
    if (this.#error !== undefined || this.#ended) return;
    this.#error = error;
    this.#held = [];
    this.#notify();
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const chunk = this.#held.shift();
      if (chunk !== undefined) {
        this.#bytes -= chunk.length;
        return chunk;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  cancel(): void {
    this.#ended = false;
    this.fail(new MirrorCut("given up"));
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

/** The client's body as its endpoint reads it; each chunk goes to the mirrors as well. */
export class TeeBody implements BodyReader {
  readonly length: number;
  readonly #source: BodyReader;
  readonly #mirrors: readonly MirrorBody[];

  constructor(source: BodyReader, mirrors: readonly MirrorBody[]) {
    this.length = source.length;
    this.#source = source;
    this.#mirrors = mirrors;
  }

  async read(): Promise<Uint8Array | null> {
    let chunk: Uint8Array | null;
    try {
      chunk = await this.#source.read();
    } catch (error) {
      for (const mirror of this.#mirrors) mirror.fail(error);
      throw error;
    }
    if (chunk === null) {
      for (const mirror of this.#mirrors) mirror.end(this.trailers);
    } else {
      // A chunk is valid until the next read; one copy serves all mirrors.
      const copy = chunk.slice();
      for (const mirror of this.#mirrors) mirror.push(copy);
    }
    return chunk;
  }

  cancel(reason?: unknown): void {
    for (const mirror of this.#mirrors) mirror.fail(new MirrorCut("the request ended early"));
    this.#source.cancel(reason);
  }

  get trailers(): HeaderList | null {
    return this.#source.trailers ?? null;
  }
}
