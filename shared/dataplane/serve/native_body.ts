/** Bodies between the native engine's streams and the core's pulled readers. */
import { RequestBodyError } from "../request/body.ts";
import type { BodyReader, OutboundResponse } from "../request/types.ts";
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";

/** A request body that came whole with the head. */
export class HeldBody implements BodyReader {
  readonly length: number;
  #bytes: Uint8Array | null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.length = bytes.length;
  }

  read(): Promise<Uint8Array | null> {
    const bytes = this.#bytes;
    this.#bytes = null;
    return Promise.resolve(bytes);
  }

  cancel(): void {
    this.#bytes = null;
  }
}

/** A request body that is still coming; silent for too long, it fails with `timeout`. */
export class StreamedBody implements BodyReader {
  readonly length: number;
  /** It was read to its end. */
  ended = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #options: { deadlines: Deadlines; idleTimeout: number };
  readonly #deadline: Deadline;
  #timedOut = false;

  constructor(
    stream: ReadableStream<Uint8Array>,
    options: { length: number; deadlines: Deadlines; idleTimeout: number },
  ) {
    this.length = options.length;
    this.#reader = stream.getReader();
    this.#options = options;
    this.#deadline = new Deadline(() => {
      this.#timedOut = true;
      this.cancel();
    });
  }

  async read(): Promise<Uint8Array | null> {
    this.#options.deadlines.start(this.#deadline, this.#options.idleTimeout);
    try {
      const { value, done } = await this.#reader.read();
      if (this.#timedOut) throw new RequestBodyError("timeout");
      if (!done) return value;
      this.ended = true;
      return null;
    } catch (error) {
      if (error instanceof RequestBodyError) throw error;
      // The engine does not say which of the two it was.
      throw new RequestBodyError("aborted", { cause: error });
    } finally {
      this.#deadline.stop();
    }
  }

  cancel(reason?: unknown): void {
    this.#deadline.stop();
    this.#reader.cancel(reason).catch(() => {});
  }
}

/**
 * A response body as the stream that the engine takes: one chunk is fetched when the engine asks
 * for one. A client that takes nothing for `idleTimeout` loses its connection.
 */
export function responseStream(
  response: OutboundResponse,
  body: BodyReader,
  options: { deadlines: Deadlines; idleTimeout: number; stalled(): void; finished(): void },
): ReadableStream<Uint8Array> {
  let bytes = 0;
  const stall = new Deadline(() => {
    const error = new Error("the client stopped reading");
    options.stalled();
    end(error);
  });
  const end = (error?: unknown) => {
    stall.stop();
    response.done(error === undefined ? { bytes } : { bytes, error });
    options.finished();
  };
  options.deadlines.start(stall, options.idleTimeout);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      stall.stop();
      try {
        const chunk = await body.read();
        if (chunk === null) {
          end();
          controller.close();
          return;
        }
        bytes += chunk.length;
        // The reader's chunk is only lent; the engine keeps it until it is written.
        controller.enqueue(chunk.slice());
        options.deadlines.start(stall, options.idleTimeout);
      } catch (error) {
        end(error);
        controller.error(error);
      }
    },
    cancel(reason) {
      body.cancel(reason);
      end(reason ?? new Error("client closed"));
    },
  }, { highWaterMark: 0 });
}
