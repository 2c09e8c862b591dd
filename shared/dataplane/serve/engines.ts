/**
 * What speaks on an accepted connection. The engine is chosen once per connection, and stays until it
 * closes.
 */
import type { InboundConnection } from "../request/types.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { OpenConnection } from "./open_connections.ts";
import { firstProtocol } from "./preface.ts";
import type { TcpStream } from "./tcp_stream.ts";

/** Serves a connection, plaintext or TLS, until it closes. */
export type Engine = (stream: ByteStream, info: InboundConnection) => OpenConnection;

export interface Engines {
  http1: Engine;
  http2: Engine;
  /** Passes connections of TCPRoutes on. */
  tcp: Engine;
}

export interface FirstBytesOptions {
  engines: Engines;
  deadlines: Deadlines;
  /** Milliseconds for the first bytes of a plaintext connection. */
  handshakeTimeout: number;
  /** A plaintext connection said nothing within `handshakeTimeout`. */
  onSilence: () => void;
}

/** In plaintext the client's first bytes say what is spoken (RFC 9113 §3.3). */
export function openByPreface(
  { stream, info }: { stream: TcpStream; info: InboundConnection },
  { engines, deadlines, handshakeTimeout, onSilence }: FirstBytesOptions,
): OpenConnection {
  let engine: OpenConnection | undefined;
  const serve = async () => {
    const options = { deadlines, timeout: handshakeTimeout, onTimeout: onSilence };
    const protocol = await firstProtocol(stream, options);
    if (protocol === "none") return stream.destroy();
    engine = engines[protocol](stream, info);
    await engine.finished;
  };
  const finished = serve();
  return {
    finished,
    drain: () => {
      if (engine !== undefined) return engine.drain();
      stream.destroy();
      return finished;
    },
    abort: () => engine === undefined ? stream.destroy() : engine.abort(),
  };
}
