/** The native engine: Deno's own HTTP server on a connection that we accepted (HTTP/1.1 and h2c). */
import type { RequestStats } from "../observe/request_stats.ts";
import { FAILURES } from "../request/failures.ts";
import type { Limits } from "../request/limits.ts";
import type {
  BodyReader,
  HeaderList,
  InboundConnection,
  InboundRequest,
  OutboundResponse,
  RequestHandler,
} from "../request/types.ts";
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import { HeldBody, responseStream, StreamedBody } from "./native_body.ts";
import type { NativeEngine } from "./native_engine.ts";
import type { NativeHead, ServedConnection } from "./native_internal.ts";
import { addressOf, madeUpAuthorities } from "./native_target.ts";

/** After this long, a running request costs a watch for a client that went away (ms). */
const WATCH_AFTER = 1000;
/** How long after a last answer the rest of a request body that nobody reads may come (ms). */
const LINGER = 1000;
/** What the engine itself allows a head to have; smaller bounds are checked here. */
const ENGINE_HEAD_BYTES = 64 * 1024;

/** What serving needs besides the connection. */
export interface NativeOptions {
  engine: NativeEngine;
  limits: Limits;
  deadlines: Deadlines;
  stats: RequestStats;
}

/** A connection being served. */
export interface NativeConnection {
  /** Resolves when it is closed; never rejects. */
  readonly finished: Promise<void>;
  /** Lets running requests finish, then closes. */
  drain(): Promise<void>;
  /** Closes at once. */
  abort(): void;
}

/**
 * Serves one accepted plaintext connection until it closes.
 *
 * @param conn owned by this function from now on
 */
export function serveNative(
  conn: Deno.TcpConn,
  connection: InboundConnection,
  handler: RequestHandler,
  options: NativeOptions,
): NativeConnection {
  const served = new ServedByNative(conn.localAddr, connection, handler, options);
  return served.run(conn);
}

class NativeRequest implements InboundRequest {
  onAbort: (() => void) | null = null;
  /** A listener waits for the client to go away. */
  watched = false;
  constructor(
    readonly connection: InboundConnection,
    readonly method: string,
    readonly target: string,
    readonly authority: string,
    readonly httpVersion: "1.1" | "2",
    readonly headers: HeaderList,
    readonly body: BodyReader | null,
    readonly native: Request,
  ) {}
}

class ServedByNative {
  readonly #connection: InboundConnection;
  readonly #handler: RequestHandler;
  readonly #options: NativeOptions;
  readonly #madeUp: ReadonlySet<string>;
  #served: ServedConnection | null = null;
  #closed = false;
  /** No request after the running ones. */
  #last = false;
  readonly #active = new Set<NativeRequest>();
  /** Idle: no request within its limit. Busy: time to watch for clients that went away. */
  readonly #deadline: Deadline;
  readonly #checkBytes: boolean;

  constructor(
    local: Deno.NetAddr,
    connection: InboundConnection,
    handler: RequestHandler,
    options: NativeOptions,
  ) {
    this.#connection = connection;
    this.#handler = handler;
    this.#options = options;
    this.#madeUp = madeUpAuthorities(local);
    this.#checkBytes = options.limits.maxHeadBytes < ENGINE_HEAD_BYTES;
    this.#deadline = new Deadline(() => this.#expired());
  }

  run(conn: Deno.TcpConn): NativeConnection {
    const { engine, deadlines, limits } = this.#options;
    this.#firstHead = true;
    deadlines.start(this.#deadline, limits.headTimeout);
    const served = engine.serve(conn, (request) => this.#serve(request));
    this.#served = served;
    const finished = served.finished.then(() => {
      this.#closed = true;
      this.#deadline.stop();
      for (const request of this.#active) request.onAbort?.();
      this.#active.clear();
    });
    return {
      finished,
      drain: () => {
        this.#last = true;
        if (this.#active.size === 0) this.#shutdown();
        return finished;
      },
      abort: () => served.abort(),
    };
  }

  #firstHead = false;

  /** Only when no request runs: what is written goes out, then the engine closes. */
  #shutdown(): void {
    this.#deadline.stop();
    this.#served?.shutdown();
  }

  #expired(): void {
    if (this.#active.size === 0) {
      const limit = this.#firstHead ? "head_timeout" : "keep_alive_timeout";
      if (!this.#last) this.#options.stats.limitExceeded(limit);
      this.#served?.abort();
      return;
    }
    for (const request of this.#active) {
      if (request.watched) continue;
      request.watched = true;
      // Also called when the answer is out; by then onAbort is null again.
      request.native.signal.addEventListener("abort", () => request.onAbort?.(), { once: true });
    }
  }

  async #serve(native: Request): Promise<Response> {
    const { codec } = this.#options.engine;
    const { deadlines } = this.#options;
    const head = codec.readHead(native);
    const request = this.#request(native, head);
    if (request === null) return this.#refuse();
    this.#firstHead = false;
    this.#active.add(request);
    // With several at a time (HTTP/2) the watch runs on: a busy connection must not put it off.
    if (this.#active.size === 1 || !this.#deadline.active) {
      deadlines.start(this.#deadline, WATCH_AFTER);
    }
    const response = await this.#handler(request);
    return this.#answer(request, response);
  }

  /** Null when the request must be refused before the core sees it; the reason is in `#refusal`. */
  #request(native: Request, head: NativeHead): NativeRequest | null {
    const { limits, deadlines, engine } = this.#options;
    const { method, url, headers } = head;
    if (headers.length > limits.maxHeaders * 2) return this.#over("max_headers", "head_too_large");
    if (this.#checkBytes && headBytes(head) > limits.maxHeadBytes) {
      return this.#over("max_head_bytes", "head_too_large");
    }
    let host: string | undefined;
    let length = -1;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      if (name === "host") host = headers[i + 1]!;
      else if (name === "content-length") length = Number(headers[i + 1]);
    }
    const { authority, target } = addressOf(method, url, host);
    if (host === undefined && this.#madeUp.has(authority)) return this.#over("", "bad_host");
    const held = engine.codec.readBody(native);
    const body = held === null || (held instanceof Uint8Array && held.length === 0)
      ? null
      : held instanceof Uint8Array
      ? new HeldBody(held)
      : new StreamedBody(held, { length, deadlines, idleTimeout: limits.bodyIdleTimeout });
    const version = host === undefined ? "2" : "1.1";
    return new NativeRequest(
      this.#connection,
      method,
      target,
      authority,
      version,
      headers,
      body,
      native,
    );
  }

  #refusal: "bad_host" | "head_too_large" = "bad_host";

  #over(limit: string, refusal: "bad_host" | "head_too_large"): null {
    if (limit !== "") this.#options.stats.limitExceeded(limit);
    this.#refusal = refusal;
    return null;
  }

  #refuse(): Response {
    const { status, text } = FAILURES[this.#refusal];
    return this.#options.engine.codec.buildResponse(
      status,
      ["content-type", "text/plain; charset=utf-8", "connection", "close"],
      new TextEncoder().encode(`${text}\n`),
    );
  }

  #answer(request: NativeRequest, response: OutboundResponse): Response {
    const { codec } = this.#options.engine;
    const { deadlines, limits } = this.#options;
    let { status, headers } = response;
    // What this engine cannot say: it knows 200–599 only.
    if (status < 200 || status > 599) {
      const { body } = response;
      if (body !== null && !(body instanceof Uint8Array)) body.cancel();
      response.done({ bytes: 0, error: new Error(`status ${status} cannot be relayed`) });
      this.#finished(request);
      return codec.buildResponse(502, ["content-type", "text/plain; charset=utf-8"], NOT_RELAYED);
    }
    if (response.close) this.#last = true;
    // HTTP/2 knows no such header (RFC 9113 §8.2.2).
    if (this.#last && request.httpVersion !== "2") headers = [...headers, "connection", "close"];
    const bodiless = status === 204 || status === 205 || status === 304 ||
      request.method === "HEAD";
    const body = response.body;
    if (body === null || bodiless) {
      if (body !== null && !(body instanceof Uint8Array)) body.cancel();
      response.done({ bytes: 0 });
      this.#finished(request);
      return codec.buildResponse(status, headers, null);
    }
    if (body instanceof Uint8Array) {
      response.done({ bytes: body.length });
      this.#finished(request);
      const whole = body as Uint8Array<ArrayBuffer>;
      this.#options.engine.spent.add(whole);
      return codec.buildResponse(status, headers, whole);
    }
    const stream = responseStream(response, body, {
      deadlines,
      idleTimeout: limits.responseIdleTimeout,
      stalled: () => {
        this.#options.stats.limitExceeded("response_idle_timeout");
        this.#served?.abort();
      },
      finished: () => this.#finished(request),
    });
    return codec.buildResponse(status, headers, stream);
  }

  #finished(request: NativeRequest): void {
    request.onAbort = null;
    if (!this.#active.delete(request) || this.#active.size > 0) return;
    if (this.#closed) return;
    if (this.#last) {
      // The engine heeds no Connection header of ours, and before it shuts down it waits for the
      // rest of a request body; once it shuts down, it can no longer be aborted.
      if (request.body instanceof StreamedBody && !request.body.ended) {
        this.#options.deadlines.start(this.#deadline, LINGER);
      } else this.#shutdown();
      return;
    }
    this.#options.deadlines.start(this.#deadline, this.#options.limits.keepAliveTimeout);
  }
}

const NOT_RELAYED = new TextEncoder().encode("the endpoint's status cannot be relayed\n");

/** Bytes of the head, about as received. */
function headBytes(head: NativeHead): number {
  let bytes = head.method.length + head.url.length + 12;
  for (const part of head.headers) bytes += part.length + 2;
  return bytes;
}
