/** Streams a request body to an endpoint, at the endpoint's pace. */
import type { UpstreamConn } from "./connect.ts";
import type { BodyReader } from "../request/types.ts";
import { UpstreamError } from "./errors.ts";

const encoder = new TextEncoder();
const CRLF = encoder.encode("\r\n");
const LAST_CHUNK = encoder.encode("0\r\n\r\n");
/** Chunks up to this are joined with their framing, so that they cost one write. */
const JOIN = 16 * 1024;

interface SendOptions {
  /** The serialised head; goes out with the first bytes of the body. */
  head: Uint8Array;
  body: BodyReader;
  /** Called with the number of bytes that the transport took. */
  sent(bytes: number): void;
}

/**
 * Sends head and body: with content-length framing when the body's length is known, else chunked.
 *
 * @throws UpstreamError `request_body` when reading the body failed, or it was longer or shorter
 *   than it said; `reset` when the endpoint did not take it
 */
export async function sendBody(conn: UpstreamConn, options: SendOptions): Promise<void> {
  const { body, sent } = options;
  const put = async (bytes: Uint8Array) => {
    try {
      for (let at = 0; at < bytes.length;) {
        const n = await conn.write(at === 0 ? bytes : bytes.subarray(at));
        at += n;
        sent(n);
      }
    } catch (error) {
      body.cancel(error);
      throw new UpstreamError("reset", "the endpoint stopped reading", { cause: error });
    }
  };
  const scratch = new Uint8Array(JOIN + 32);
  await put(options.head);
  let total = 0;
  for (;;) {
    const chunk = await next(body);
    if (chunk === null) break;
    if (chunk.length === 0) continue;
    total += chunk.length;
    if (body.length !== -1) {
      if (total > body.length) throw new UpstreamError("request_body", "body longer than declared");
      await put(chunk);
      continue;
    }
    const size = encoder.encodeInto(chunk.length.toString(16) + "\r\n", scratch).written;
    if (chunk.length <= JOIN) {
      scratch.set(chunk, size);
      scratch.set(CRLF, size + chunk.length);
      await put(scratch.subarray(0, size + chunk.length + 2));
    } else {
      await put(scratch.subarray(0, size));
      await put(chunk);
      await put(CRLF);
    }
  }
  if (body.length === -1) await put(LAST_CHUNK);
  else if (total < body.length) {
    throw new UpstreamError("request_body", "body shorter than declared");
  }
}

async function next(body: BodyReader): Promise<Uint8Array | null> {
  try {
    return await body.read();
  } catch (error) {
    throw new UpstreamError("request_body", "the request body failed", { cause: error });
  }
}
