/** Request bodies on their way in: their errors, collecting small ones, bounding the rest. */
import type { BodyReader, HeaderList } from "./types.ts";

/** What can be wrong with a request body; engines throw it from `BodyReader.read`. */
export type RequestBodyErrorKind =
  /** No byte within `bodyIdleTimeout`. */
  | "timeout"
  /** Above `maxBodyBytes`. */
  | "too_large"
  /** The client went away. */
  | "aborted"
  /** The framing is broken, or the body ended early. */
  | "framing";

/** A request body failed on the client's side. */
export class RequestBodyError extends Error {
  override readonly name = "RequestBodyError";
  readonly kind: RequestBodyErrorKind;
  constructor(kind: RequestBodyErrorKind, options?: { cause?: unknown }) {
    super(`request body: ${kind}`, options);
    this.kind = kind;
  }
}

/** Bodies of a known length up to this are collected first: one write, and replayable. */
export const COLLECT_BYTES = 16 * 1024;

/**
 * Reads a body of known length into one array.
 *
 * @throws RequestBodyError `framing` when it is longer or shorter than it said; what `read` throws
 */
export async function collectBody(body: BodyReader): Promise<Uint8Array> {
  const whole = new Uint8Array(body.length);
  let filled = 0;
  for (;;) {
    const chunk = await readChunk(body);
    if (chunk === null) break;
    if (filled + chunk.length > whole.length) throw new RequestBodyError("framing");
    whole.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < whole.length) throw new RequestBodyError("framing");
  return whole;
}

/** Whatever a body throws, it is the client's side that failed. */
async function readChunk(body: BodyReader): Promise<Uint8Array | null> {
  try {
    return await body.read();
  } catch (error) {
    throw error instanceof RequestBodyError
      ? error
      : new RequestBodyError(kindOf(error), { cause: error });
  }
}

/** Engines that have an error class of their own tell by the same names in `kind`. */
function kindOf(error: unknown): RequestBodyErrorKind {
  const kind: unknown = typeof error === "object" && error !== null
    ? Reflect.get(error, "kind")
    : undefined;
  return kind === "timeout" || kind === "too_large" || kind === "aborted" ? kind : "framing";
}

/** A body that counts what passes, and fails beyond `max` bytes (0 = no bound). */
export class CountedBody implements BodyReader {
  readonly length: number;
  bytes = 0;
  readonly #source: BodyReader;
  readonly #max: number;

  constructor(source: BodyReader, max: number) {
    this.#source = source;
    this.#max = max;
    this.length = source.length;
  }

  async read(): Promise<Uint8Array | null> {
    const chunk = await readChunk(this.#source);
    if (chunk === null) return null;
    this.bytes += chunk.length;
    if (this.#max > 0 && this.bytes > this.#max) {
      const error = new RequestBodyError("too_large");
      this.#source.cancel(error);
      throw error;
    }
    return chunk;
  }

  cancel(reason?: unknown): void {
    this.#source.cancel(reason);
  }

  get trailers(): HeaderList | null {
    return this.#source.trailers ?? null;
  }
}
