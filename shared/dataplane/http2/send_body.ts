/** Sends a body as it is read, at the pace that the peer takes it. */
import type { BodyReader } from "../request/types.ts";
import type { Sender } from "./sender.ts";
import type { Stream } from "./stream.ts";

const EMPTY = new Uint8Array(0);

/** A body that is not as long as it said. */
export class BodyLengthError extends Error {
  override readonly name = "BodyLengthError";
}

/**
 * Sends body, trailers and END_STREAM. Ends early, without an error, when the stream is over.
 *
 * @param sent called with the octets of each part before it goes into the output
 * @throws BodyLengthError, and what reading the body throws
 */
export async function sendBody(
  { sender, stream }: { sender: Sender; stream: Stream },
  body: BodyReader,
  sent: (octets: number) => void,
): Promise<void> {
  const put = (bytes: Uint8Array, end: boolean) =>
    sender.data(stream, bytes, end)
      ? undefined
      : new Promise<void>((resolve) => stream.onDrained = resolve);
  const { length } = body;
  let total = 0;
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    if (stream.gone) return;
    if (chunk.length === 0) continue;
    total += chunk.length;
    if (length !== -1 && total > length) {
      throw new BodyLengthError("the body is longer than its content-length");
    }
    sent(chunk.length);
    await put(chunk, false);
    if (stream.gone) return;
  }
  if (stream.gone) return;
  if (length !== -1 && total !== length) {
    throw new BodyLengthError("the body is shorter than its content-length");
  }
  const { trailers } = body;
  if (trailers && trailers.length > 0) {
    sender.headers(stream, { pseudo: [], list: trailers }, true);
  } else await put(EMPTY, true);
}
