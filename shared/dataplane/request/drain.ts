/** Reading what nobody wants, so that its connection can be used again. */
import type { BodyReader } from "./types.ts";

/** Reads a body to its end, or gives it up beyond `max` bytes; its failures are nobody's. */
export async function drain(body: Uint8Array | BodyReader | null, max: number): Promise<void> {
  if (body === null || body instanceof Uint8Array) return;
  try {
    let bytes = 0;
    for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
      bytes += chunk.length;
      if (bytes > max) return body.cancel();
    }
  } catch {
    // It ended, if not well.
  }
}
