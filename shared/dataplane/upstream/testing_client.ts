/** For tests: a client against a scripted origin, and the small things around it. */
import { assertRejects } from "@std/assert";
import type { BodyReader } from "../request/types.ts";
import { UpstreamError } from "./errors.ts";
import type { Exchange, UpstreamRequest, UpstreamResponse } from "./exchange.ts";
import { Http1Client, type Http1ClientOptions } from "./http1_client.ts";
import { type Origin, type OriginConnection, startOrigin } from "./testing_origin.ts";

/** A whole answer with a body of two bytes. */
export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

export const GET: UpstreamRequest = {
  method: "GET",
  target: "/",
  host: "h",
  headers: [],
  body: null,
};

export interface Rig {
  client: Http1Client;
  origin: Origin;
  send(request?: Partial<UpstreamRequest>): Exchange;
}

export async function withRig(
  of: Origin | ((connection: OriginConnection) => Promise<void>),
  run: (rig: Rig) => Promise<void>,
  options: Http1ClientOptions = {},
): Promise<void> {
  const origin = typeof of === "function" ? startOrigin(of) : of;
  const client = new Http1Client(options);
  try {
    await run({
      client,
      origin,
      send: (request = {}) => client.exchange(origin, { ...GET, ...request }),
    });
  } finally {
    client.close();
    await origin.close();
  }
}

export async function textOf(response: UpstreamResponse): Promise<string> {
  const { body } = response;
  if (body === null) return "";
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  let text = "";
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    text += new TextDecoder().decode(chunk);
  }
  return text;
}

export async function failure(exchange: Exchange): Promise<string> {
  return (await assertRejects(() => exchange.response, UpstreamError)).kind;
}

export function bodyOf(chunks: string[], length = -1): BodyReader & { cancelled: boolean } {
  let at = 0;
  return {
    length,
    cancelled: false,
    read() {
      const chunk = chunks[at++];
      return Promise.resolve(chunk === undefined ? null : new TextEncoder().encode(chunk));
    },
    cancel() {
      this.cancelled = true;
    },
  };
}
