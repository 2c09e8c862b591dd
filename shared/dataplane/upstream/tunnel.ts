/**
 * A connection to an endpoint after it switched protocols (RFC 9110 §7.8): bytes both ways, each at
 * the pace of who takes them, each ended by itself. What is spoken on it is nobody's business here.
 */
import type { UpstreamConn } from "./connect.ts";
import type { BodyReader } from "../request/types.ts";
import { Deadline, type Deadlines } from "./deadlines.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange, ExchangeCarrier } from "./exchange.ts";

const READ_BUFFER = 16 * 1024;

export interface TunnelOptions {
  /** What the endpoint switched to, as it wrote it. */
  protocol: string;
  /** Bytes of the new protocol that came with the head of the answer. */
  held: Uint8Array;
  deadlines: Deadlines;
  /** Milliseconds without a byte in either direction. */
  idleTimeout: number;
  /** The connection is closed. */
  onClosed: (tunnel: UpstreamTunnel) => void;
}

/** As a body it is what the endpoint sends; {@linkcode UpstreamTunnel.carry} is the other way. */
export class UpstreamTunnel implements BodyReader, ExchangeCarrier {
  readonly length = -1;
  readonly protocol: string;
  readonly #conn: UpstreamConn;
  readonly #options: TunnelOptions;
  readonly #idle: Deadline;
  readonly #buffer = new Uint8Array(READ_BUFFER);
  #held: Uint8Array | null;
  #input: BodyReader | null = null;
  /** The endpoint has sent everything. */
  #received = false;
  /** The endpoint has been sent everything. */
  #sent = false;
  #closed = false;
  #error: UpstreamError | null = null;

  /** @param conn owned by the tunnel from now on */
  constructor(conn: UpstreamConn, options: TunnelOptions) {
    this.#conn = conn;
    this.#options = options;
    this.protocol = options.protocol;
    this.#held = options.held.length > 0 ? options.held : null;
    this.#idle = new Deadline(() =>
      this.fail(new UpstreamError("idle", "no byte in either direction"))
    );
    this.#touch();
  }

  /** Sends what `input` gives, until it ends; called once. */
  carry(input: BodyReader): void {
    this.#input = input;
    if (this.#error !== null) return input.cancel(this.#error);
    void this.#pump(input);
  }

  async read(): Promise<Uint8Array | null> {
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      return held;
    }
    if (this.#error !== null) throw this.#error;
    if (this.#received) return null;
    let n: number | null;
    try {
      n = await this.#conn.read(this.#buffer);
    } catch (error) {
      throw this.fail(new UpstreamError("reset", "closed by the endpoint", { cause: error }));
    }
    if (n === null) {
      this.#received = true;
      if (this.#sent) this.#close();
      return null;
    }
    this.#touch();
    return this.#buffer.subarray(0, n);
  }

  cancel(reason?: unknown): void {
    this.fail(new UpstreamError("aborted", "tunnel given up", { cause: reason }));
  }

  abandon(_exchange: Exchange, error: UpstreamError): void {
    this.fail(error);
  }

  /**
   * Closes the tunnel at once; both directions fail with `error`.
   *
   * @returns why it was closed: the first error given
   */
  fail(error: UpstreamError): UpstreamError {
    if (this.#closed) return this.#error ?? error;
    this.#error = error;
    this.#close();
    this.#input?.cancel(error);
    return error;
  }

  async #pump(input: BodyReader): Promise<void> {
    try {
      for (;;) {
        const chunk = await next(input);
        if (chunk === null) break;
        for (let at = 0; at < chunk.length;) {
          at += await this.#conn.write(at === 0 ? chunk : chunk.subarray(at));
        }
        this.#touch();
      }
      await this.#conn.closeWrite();
    } catch (error) {
      this.fail(
        error instanceof UpstreamError
          ? error
          : new UpstreamError("reset", "the endpoint stopped reading", { cause: error }),
      );
      return;
    }
    this.#sent = true;
    if (this.#received) this.#close();
  }

  #touch(): void {
    if (!this.#closed) this.#options.deadlines.start(this.#idle, this.#options.idleTimeout);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#idle.stop();
    this.#conn.close();
    this.#options.onClosed(this);
  }
}

async function next(input: BodyReader): Promise<Uint8Array | null> {
  try {
    return await input.read();
  } catch (error) {
    throw new UpstreamError("request_body", "the client broke off", { cause: error });
  }
}
