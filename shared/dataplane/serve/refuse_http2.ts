/** Says goodbye to a client of HTTP/2 in its own language. */
import type { ByteStream } from "./byte_stream.ts";
import type { OpenConnection } from "./open_connections.ts";

/**
 * An empty SETTINGS frame, then GOAWAY with HTTP_1_1_REQUIRED (RFC 9113 §6.5, §6.8, §7): the client
 * learns that no stream was processed and what to speak instead.
 */
const GOODBYE = new Uint8Array([
  ...[0, 0, 0, 4, 0, 0, 0, 0, 0],
  ...[0, 0, 8, 7, 0, 0, 0, 0, 0],
  ...[0, 0, 0, 0, 0, 0, 0, 13],
]);

/** Closes the connection after the goodbye. */
export function refuseHttp2(stream: ByteStream): OpenConnection {
  const refuse = async () => {
    try {
      await stream.write(GOODBYE);
      await stream.end();
    } catch {
      // The client is gone.
    }
    stream.destroy();
  };
  const finished = refuse();
  return { finished, drain: () => finished, abort: () => stream.destroy() };
}
