/**
 * The only file that knows Deno's internals: serving one accepted connection, and reading and
 * building messages without the cost of `Headers`. Everything is checked over a real socket at
 * start-up; when anything is not as expected, the public API takes over.
 */
import type { HeaderList } from "../request/types.ts";

/** A request as the engine below sees it. */
export interface NativeHead {
  method: string;
  /** `http://authority/target`, as received. */
  url: string;
  /** Names lower-case; Host included when there was one. */
  headers: HeaderList;
}

/** A request body: whole when it came with the head. */
export type NativeBody = Uint8Array | ReadableStream<Uint8Array> | null;

/** A connection being served. */
export interface ServedConnection {
  readonly finished: Promise<void>;
  /** Lets running requests finish, then closes. */
  shutdown(): Promise<void>;
  /** Closes at once. Idempotent, also after the connection closed by itself. */
  abort(): void;
}

/** How messages are read and built. */
export interface NativeCodec {
  readHead(request: Request): NativeHead;
  readBody(request: Request): NativeBody;
  /** `body` must be null for answers without one; the status is 200–599. */
  buildResponse(
    status: number,
    headers: HeaderList,
    body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null,
  ): Response;
}

/** Handles one request. Never rejects. */
export type NativeHandler = (request: Request) => Promise<Response>;

/** All that the internal function uses of an abort signal. */
interface AbortSource {
  addEventListener(type: "abort", listener: () => void, options: { once: true }): void;
}

type ServeOnConnection = (
  conn: Deno.TcpConn,
  signal: AbortSource,
  handler: NativeHandler,
  onError: (error: unknown) => Response,
  onListen: (scheme: string) => void,
) => { finished: Promise<void>; shutdown(): Promise<void> };

/** Serves one accepted connection. */
export type ServeConnection = (conn: Deno.TcpConn, handler: NativeHandler) => ServedConnection;

/** Serving by Deno's function for one accepted connection; undefined when this Deno has none. */
export function internalServe(): ServeConnection | undefined {
  const key: unknown = Reflect.get(Deno, "internal");
  if (typeof key !== "symbol") return undefined;
  const internal: unknown = Reflect.get(Deno, key);
  if (typeof internal !== "object" || internal === null) return undefined;
  const found: unknown = Reflect.get(internal, "serveHttpOnConnection");
  if (typeof found !== "function") return undefined;
  const serve = found as ServeOnConnection;
  return (conn, handler) => {
    let cancel: (() => void) | undefined;
    // Not an AbortSignal: after the connection closed by itself, cancelling throws, and what is
    // thrown in a listener of a real signal ends the process.
    const source: AbortSource = {
      addEventListener: (_type, listener) => {
        cancel = listener;
      },
    };
    const served = serve(conn, source, handler, failed, () => {});
    return {
      // An answer whose body fails rejects here; the client sees the connection close.
      finished: served.finished.catch(() => {}),
      shutdown: () => served.shutdown().catch(() => {}),
      abort() {
        try {
          cancel?.();
        } catch {
          // Closed already.
        }
        cancel = undefined;
      },
    };
  };
}

function failed(): Response {
  return new Response(null, { status: 500 });
}

/** The public way: correct everywhere, and slower. */
export const publicCodec: NativeCodec = {
  readHead(request) {
    const headers: HeaderList = [];
    for (const [name, value] of request.headers) headers.push(name, value);
    return { method: request.method, url: request.url, headers };
  },
  readBody: (request) => request.body,
  buildResponse(status, headers, body) {
    const pairs: [string, string][] = [];
    for (let i = 0; i < headers.length; i += 2) pairs.push([headers[i]!, headers[i + 1]!]);
    return new Response(body, { status, headers: pairs });
  },
};

interface InnerRequest {
  readonly method: string;
  url(): string;
  readonly headerList: readonly (readonly [string, string])[];
  readonly body: { readonly streamOrStatic: ReadableStream<Uint8Array> | { body: unknown } } | null;
}

interface InnerResponse {
  status: number;
  headerList: [string, string][];
}

type RequestInternals = Request & { [key: symbol]: InnerRequest };
type ResponseInternals = Response & { [key: symbol]: InnerResponse | number | null };

/** The codec over Deno's own message objects; undefined when they do not look as known. */
export function internalCodec(sample: Request): NativeCodec | undefined {
  const request = symbolOf(sample, "request");
  const empty = new Response(null);
  const response = symbolOf(empty, "response");
  const fastStatus = symbolOf(empty, "serve fast status");
  const fastBody = symbolOf(empty, "serve fast body");
  if (!request || !response || !fastStatus || !fastBody) return undefined;
  const inner: unknown = Reflect.get(sample, request);
  if (!isInnerRequest(inner) || !isInnerResponse(Reflect.get(empty, response))) return undefined;
  return {
    readHead(of) {
      const head = (of as RequestInternals)[request]!;
      const list = head.headerList;
      const headers: HeaderList = new Array(list.length * 2);
      for (let i = 0, k = 0; i < list.length; i++) {
        const header = list[i]!;
        headers[k++] = header[0].toLowerCase();
        headers[k++] = header[1];
      }
      return { method: head.method, url: head.url(), headers };
    },
    readBody(of) {
      const held = (of as RequestInternals)[request]!.body?.streamOrStatic;
      if (held === undefined) return null;
      if (!(held instanceof ReadableStream) && held.body instanceof Uint8Array) return held.body;
      return of.body;
    },
    buildResponse(status, headers, body) {
      const built = new Response(body) as ResponseInternals;
      // The shortcut for answers without headers must not be taken.
      built[fastStatus] = 0;
      built[fastBody] = null;
      const message = built[response] as InnerResponse;
      message.status = status;
      const list = message.headerList;
      for (let i = 0; i < headers.length; i += 2) list.push([headers[i]!, headers[i + 1]!]);
      return built;
    },
  };
}

function symbolOf(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((key) => key.description === description);
}

function isInnerRequest(value: unknown): value is InnerRequest {
  return typeof value === "object" && value !== null &&
    typeof Reflect.get(value, "url") === "function" &&
    typeof Reflect.get(value, "method") === "string" &&
    Array.isArray(Reflect.get(value, "headerList"));
}

function isInnerResponse(value: unknown): value is InnerResponse {
  return typeof value === "object" && value !== null && Reflect.get(value, "status") === 200 &&
    Array.isArray(Reflect.get(value, "headerList"));
}
