/** Requests to an API server: answers are objects, refusals are {@linkcode KubeApiError}. */
import { asRecord } from "../decode/decoder.ts";
import type { KubeAccess } from "./access.ts";

/** A request that the server refused, or that never came to an answer. */
export class KubeApiError extends Error {
  override name = "KubeApiError";
  constructor(
    /** HTTP status; 0 = the server could not be reached. */
    readonly status: number,
    /** `reason` of the Status object, such as `Conflict`; empty when there is none. */
    readonly reason: string,
    message: string,
    /** Milliseconds that the server asks to wait. */
    readonly retryAfter: number | undefined = undefined,
  ) {
    super(message);
  }
}

export type Verb = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface KubeRequest {
  method: Verb;
  path: string;
  query?: readonly (readonly [string, string])[];
  body?: unknown;
  /** Of the body. Default `application/json`. */
  contentType?: string;
  signal?: AbortSignal;
  /** Milliseconds for the whole answer. Default {@linkcode REQUEST_TIMEOUT}. */
  timeout?: number;
}

/** Told about every request. */
export interface KubeObserver {
  /** `code` 0 = no answer. */
  request(event: { method: Verb; code: number; milliseconds: number }): void;
}

export const MERGE_PATCH = "application/merge-patch+json";

const REQUEST_TIMEOUT = 15_000;

export interface KubeApiOptions {
  access: Pick<KubeAccess, "server" | "client" | "headers">;
  observer?: KubeObserver;
  /** Names us in the server's logs and in managedFields. */
  userAgent: string;
}

export class KubeApi {
  readonly #options: KubeApiOptions;

  constructor(options: KubeApiOptions) {
    this.#options = options;
  }

  /** The answer's body as an object. @throws {KubeApiError} */
  async request(request: KubeRequest): Promise<Record<string, unknown>> {
    const { timeout = REQUEST_TIMEOUT } = request;
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new Error(`no answer within ${timeout} ms`)),
      timeout,
    );
    const signal = request.signal === undefined
      ? deadline.signal
      : AbortSignal.any([request.signal, deadline.signal]);
    try {
      const response = await this.open({ ...request, signal });
      const value = asRecord(await readJson(response));
      if (value === undefined) {
        throw new KubeApiError(response.status, "", "the answer is no object");
      }
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The open answer of a successful request: for what is read as it comes. @throws {KubeApiError} */
  async open(request: Omit<KubeRequest, "timeout">): Promise<Response> {
    const { access, observer, userAgent } = this.#options;
    const { method, path, query = [], body, contentType = "application/json", signal } = request;
    const search = query.length === 0
      ? ""
      : `?${new URLSearchParams(query.map(([name, value]) => [name, value]))}`;
    const started = performance.now();
    let response: Response;
    try {
      response = await fetch(`${access.server}${path}${search}`, {
        method,
        client: access.client,
        // No API server answers so; whoever does gets neither our token nor our objects.
        redirect: "error",
        headers: {
          accept: "application/json",
          "user-agent": userAgent,
          ...(body === undefined ? {} : { "content-type": contentType }),
          ...await access.headers(),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      observer?.request({ method, code: 0, milliseconds: performance.now() - started });
      throw new KubeApiError(0, "", `${method} ${path}: ${causeOf(error)}`);
    }
    observer?.request({ method, code: response.status, milliseconds: performance.now() - started });
    if (response.ok) return response;
    throw await refusal(response, `${method} ${path}`);
  }
}

/** `error sending request` alone says nothing: what is behind it does. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw new KubeApiError(response.status, "", `the answer cannot be read: ${causeOf(error)}`);
  }
}

async function refusal(response: Response, what: string): Promise<KubeApiError> {
  const text = await response.text().catch(() => "");
  let status: Record<string, unknown> | undefined;
  try {
    status = asRecord(JSON.parse(text));
  } catch {
    // Not every refusal is a Status: proxies in between answer in their own words.
  }
  const after = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new KubeApiError(
    response.status,
    typeof status?.reason === "string" ? status.reason : "",
    `${what}: ${response.status} ${
      typeof status?.message === "string" ? status.message : text.slice(0, 200)
    }`,
    Number.isFinite(after) ? after * 1000 : undefined,
  );
}
