/** The few requests of the JetStream API that the transport makes, with their answers checked. */
import { headers as newHeaders, type Msg, type MsgHdrs, type NatsConnection } from "nats";
import type { SignedMessage } from "../snapshot/envelope.ts";
import { BusError } from "./transport.ts";

/** How long a request may take, ms. */
const REQUEST_TIMEOUT = 3000;
const FENCE_STALE = 10071;
/** Fence codes of a message outside a batch and of a batch's own checks. */
const FENCE_CODES = new Set([FENCE_STALE, 10164]);
const STREAM_FULL = 10077;
const STREAM_NOT_FOUND = 10059;

export type Json = Readonly<Record<string, unknown>>;

/** An object, or an empty one. */
export function asJson(value: unknown): Json {
  return typeof value === "object" && value !== null ? value as Json : {};
}

/** A number, or 0. */
export function asNumber(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/** Asks the JetStream API. @throws {BusError} */
export async function apiRequest(
  connection: NatsConnection,
  subject: string,
  body: Json = {},
): Promise<Json> {
  const message = await rawRequest(connection, subject, {
    data: new TextEncoder().encode(JSON.stringify(body)),
  });
  return parseAnswer(message);
}

export interface RawRequest {
  data: Uint8Array;
  headers?: MsgHdrs;
}

/** One request, one answer. @throws {BusError} `unavailable` when none comes. */
export async function rawRequest(
  connection: NatsConnection,
  subject: string,
  request: RawRequest,
): Promise<Msg> {
  const { data, headers } = request;
  try {
    return await connection.request(subject, data, {
      timeout: REQUEST_TIMEOUT,
      ...(headers === undefined ? {} : { headers }),
    });
  } catch (error) {
    throw new BusError("unavailable", `no answer on ${subject}`, { cause: error });
  }
}

/** The JSON of an answer. @throws {BusError} when it reports an error. */
export function parseAnswer(message: Msg): Json {
  let answer: Json;
  try {
    answer = asJson(JSON.parse(new TextDecoder().decode(message.data)));
  } catch (error) {
    throw new BusError("refused", "the answer is not JSON", { cause: error });
  }
  if (answer["error"] === undefined) return answer;
  const problem = asJson(answer["error"]);
  const code = asNumber(problem["err_code"]);
  const text = `${String(problem["description"])} (${code})`;
  if (FENCE_CODES.has(code)) throw new BusError("fence", text);
  if (code === STREAM_FULL) throw new BusError("full", text);
  if (code === STREAM_NOT_FOUND) throw new BusError("missing", text);
  throw new BusError("refused", text);
}

/** Headers for the wire. */
export function toHeaders(
  signed: SignedMessage,
  extra: Readonly<Record<string, string>> = {},
): MsgHdrs {
  const headers = newHeaders();
  for (const [name, value] of Object.entries(signed.headers)) headers.set(name, value);
  for (const [name, value] of Object.entries(extra)) headers.set(name, value);
  return headers;
}

/** Headers and body of a delivered message, without the bus's own headers. */
export function toSigned(message: Msg): SignedMessage {
  const headers: Record<string, string> = {};
  for (const [name, values] of message.headers ?? []) {
    if (!name.startsWith("Nats-")) headers[name] = values.join(",");
  }
  // A plain view: the client's buffers have a slice() that does not copy.
  const { buffer, byteOffset, byteLength } = message.data;
  return { headers, body: new Uint8Array(buffer, byteOffset, byteLength) };
}
