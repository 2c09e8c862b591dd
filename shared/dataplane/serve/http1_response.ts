/** Writes HTTP/1.1 responses (RFC 9112 §4, §6–7): head and whole body in one write. */
import { Buffer } from "node:buffer";
import type { BodyReader, HeaderList, OutboundResponse } from "../request/types.ts";
import type { ByteStream } from "./byte_stream.ts";
import { encodeLatin1 } from "../upstream/request_head.ts";
import { STATUS_TEXT } from "./status_text.ts";
import { freeBody } from "./write_buffers.ts";
import type { WriteBuffers } from "./write_buffers.ts";

/** What the request decided about its answer. */
export interface ResponseFraming {
  method: string;
  httpVersion: "1.0" | "1.1";
  /** Whether the connection stays open, as far as the request goes. */
  keepAlive: boolean;
  /** Value of the Date header. */
  date: string;
  buffers: WriteBuffers;
  /** Counts while the answer goes out. */
  progress: Progress;
}

/** The answer ended before its declared length. */
export class TruncatedResponseError extends Error {
  override readonly name = "TruncatedResponseError";
}

/**
 * A header that would end its own line. The codecs and the controller refuse these long before; a
 * code above 255 counts because only its low byte is sent, and that may be CR or LF.
 */
export class ResponseSplitError extends Error {
  override readonly name = "ResponseSplitError";
}

const NOT_A_FIELD = /[\r\n\0]|[^\0-\xff]/;

const NOTHING = new Uint8Array(0);
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

/**
 * Writes an answer and resolves when the transport has taken it, with whether the connection may
 * carry another. Rejects when the client or the
 * body fails; the connection cannot be used any more then.
 */
export async function writeResponse(
  stream: ByteStream,
  response: OutboundResponse,
  framing: ResponseFraming,
): Promise<boolean> {
  const { status, body } = response;
  const bodyless = framing.method === "HEAD" || status === 204 || status === 304;
  const length = body === null ? 0 : body.length;
  const chunked = !bodyless && length === -1 && framing.httpVersion === "1.1";
  // Without a length and without chunks only the end of the connection ends the body.
  const keepAlive = framing.keepAlive && !response.close && (bodyless || length !== -1 || chunked);
  const head = serializeHead(response, framing, { bodyless, length, chunked, keepAlive });
  if (body === null || bodyless) {
    if (body !== null && "cancel" in body) body.cancel();
    await writeWhole(stream, { head, body: NOTHING, buffers: framing.buffers });
    return keepAlive;
  }
  if (body instanceof Uint8Array) {
    const bytes = body.length;
    await writeWhole(stream, { head, body, buffers: framing.buffers });
    framing.progress.bytes = bytes;
    return keepAlive;
  }
  await stream.write(Buffer.from(head, "latin1"));
  await streamBody(stream, body, { chunked, progress: framing.progress });
  return keepAlive;
}

interface Whole {
  head: string;
  /** Freed. */
  body: Uint8Array;
  buffers: WriteBuffers;
}

/** Head and body in one write. */
async function writeWhole(stream: ByteStream, { head, body, buffers }: Whole): Promise<void> {
  const size = head.length + body.length;
  const shared = stream.copied === true ? buffers.take(size) : undefined;
  const message = shared === undefined ? Buffer.allocUnsafe(size) : shared.subarray(0, size);
  encodeLatin1(head, message);
  message.set(body, head.length);
  freeBody(body);
  await stream.write(message);
  if (shared !== undefined) buffers.give(shared);
}

/** How far an answer came. */
export interface Progress {
  /** Bytes of the body that the transport took. */
  bytes: number;
}

/** Writes a body as it comes. */
async function streamBody(
  stream: ByteStream,
  body: BodyReader,
  { chunked, progress }: { chunked: boolean; progress: Progress },
): Promise<void> {
  try {
    for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
      if (chunk.length === 0) continue;
      if (body.length !== -1 && progress.bytes + chunk.length > body.length) {
        throw new TruncatedResponseError("the body is longer than its content-length");
      }
      // A chunk is only valid until the next read, and the transport may still hold it then.
      if (chunked) await stream.write(frameChunk(chunk));
      else await stream.write(stream.copied === true ? chunk : chunk.slice());
      progress.bytes += chunk.length;
    }
  } catch (error) {
    body.cancel(error);
    throw error;
  }
  if (body.length !== -1 && progress.bytes !== body.length) {
    throw new TruncatedResponseError("the body is shorter than its content-length");
  }
  if (chunked) await stream.write(LAST_CHUNK);
}

/**
 * Writes a 101 and then what the backend sends in the new protocol, to its end. Rejects when either
 * side fails.
 */
export async function writeSwitched(
  stream: ByteStream,
  response: OutboundResponse,
  { progress, date }: { progress: Progress; date: string },
): Promise<void> {
  const fields = serializeFields(response.headers, { date });
  const head = `HTTP/1.1 101 Switching Protocols\r\n${fields}connection: upgrade\r\n` +
    `upgrade: ${response.upgrade}\r\n\r\n`;
  await stream.write(Buffer.from(head, "latin1"));
  const { body } = response;
  if (body === null) return;
  if (body instanceof Uint8Array) return await stream.write(body);
  await streamBody(stream, body, { chunked: false, progress });
}

function frameChunk(chunk: Uint8Array): Uint8Array {
  const size = `${chunk.length.toString(16)}\r\n`;
  const framed = Buffer.allocUnsafe(size.length + chunk.length + 2);
  framed.write(size, 0, "latin1");
  framed.set(chunk, size.length);
  framed.write("\r\n", size.length + chunk.length, "latin1");
  return framed;
}

interface HeadFraming {
  bodyless: boolean;
  length: number;
  chunked: boolean;
  keepAlive: boolean;
}

function serializeHead(
  response: OutboundResponse,
  framing: ResponseFraming,
  { bodyless, length, chunked, keepAlive }: HeadFraming,
): string {
  const { status, headers } = response;
  // Our framing, not the upstream's; what HEAD and 304 say about the body is kept, and 204 must not
  // say anything (RFC 9110 §8.6).
  const dropLength = !bodyless || status === 204;
  let head = `HTTP/1.1 ${status} ${STATUS_TEXT[status] ?? ""}\r\n`;
  head += serializeFields(headers, { date: framing.date, dropLength });
  if (chunked) head += "transfer-encoding: chunked\r\n";
  else if (!bodyless && length !== -1) head += `content-length: ${length}\r\n`;
  if (!keepAlive) head += "connection: close\r\n";
  else if (framing.httpVersion === "1.0") head += "connection: keep-alive\r\n";
  return `${head}\r\n`;
}

/** Header lines, with a date when there is none. */
function serializeFields(
  headers: HeaderList,
  { date, dropLength = true }: { date: string; dropLength?: boolean },
): string {
  let lines = "";
  let dated = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    if (name === "content-length" && dropLength) continue;
    if (name === "date") dated = true;
    if (NOT_A_FIELD.test(value) || NOT_A_FIELD.test(name)) {
      throw new ResponseSplitError(`header ${JSON.stringify(name)} cannot be sent`);
    }
    lines += `${name}: ${value}\r\n`;
  }
  return dated ? lines : `${lines}date: ${date}\r\n`;
}

/** The answer to a head that could not be parsed. */
export function errorResponse(status: number, reason: string): OutboundResponse {
  const headers: HeaderList = ["content-type", "text/plain"];
  const body = new TextEncoder().encode(`${reason}\n`);
  return { status, headers, body, upgrade: "", close: true, done: () => {} };
}
