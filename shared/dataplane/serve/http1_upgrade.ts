/** A connection of HTTP/1.1 that switches to another protocol (RFC 9110 §7.8, RFC 9112 §9.7). */
import { RequestBodyError } from "../request/body.ts";
import { RequestFailure } from "../request/failures.ts";
import type { Limits } from "../request/limits.ts";
import type { BodyReader, OutboundResponse } from "../request/types.ts";
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { InputBuffer } from "./http1_input.ts";
import { writeSwitched } from "./http1_response.ts";

/** What the client sends after the switch, as it comes. */
export class UpgradeInput implements BodyReader {
  readonly length = -1;
  /** Resolves when the client has sent everything, or nobody wants more of it. */
  readonly finished: Promise<void>;
  readonly #input: InputBuffer;
  readonly #finish: () => void;
  #cancelled = false;

  constructor(input: InputBuffer) {
    this.#input = input;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
  }

  async read(): Promise<Uint8Array | null> {
    const input = this.#input;
    try {
      if (input.size === 0 && !await input.fill()) {
        this.#finish();
        return null;
      }
    } catch (error) {
      this.#finish();
      throw new RequestBodyError("aborted", { cause: error });
    }
    if (this.#cancelled) throw new RequestBodyError("aborted");
    return input.take(input.size);
  }

  cancel(): void {
    this.#cancelled = true;
    this.#finish();
  }
}

export interface Http1TunnelOptions {
  /** A 101. */
  response: OutboundResponse;
  input: UpgradeInput;
  limits: Limits;
  deadlines: Deadlines;
  /** Value of the Date header. */
  date: string;
  /** The tunnel was cut because the proxy stops. */
  onDrained: () => void;
}

/** The rest of a connection's life after a 101. */
export class Http1Tunnel {
  readonly #stream: ByteStream;
  readonly #options: Http1TunnelOptions;
  readonly #drained: Deadline;

  constructor(stream: ByteStream, options: Http1TunnelOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#drained = new Deadline(() => {
      const { body } = options.response;
      options.onDrained();
      if (body !== null && !(body instanceof Uint8Array)) {
        body.cancel(new RequestFailure("shutting_down"));
      }
      stream.destroy();
    });
  }

  /** Resolves when both directions have ended or one has failed; the connection is over then. */
  async run(): Promise<void> {
    const { response, input, date } = this.#options;
    const progress = { bytes: 0 };
    try {
      await writeSwitched(this.#stream, response, { progress, date });
      // The backend has said everything; the client may not have.
      await this.#stream.end();
      await input.finished;
      response.done(progress);
    } catch (error) {
      response.done({ ...progress, error });
    } finally {
      this.#drained.stop();
    }
  }

  /** Gives the tunnel a bounded time to end by itself: nobody can tell its peers to come back. */
  drain(): void {
    const { deadlines, limits } = this.#options;
    deadlines.start(this.#drained, limits.tunnelDrainTimeout);
  }
}
