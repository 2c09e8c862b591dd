/**
 * What speaks on an accepted connection. The engine is chosen once per connection, and stays until it
 * closes.
 */
import type { InboundConnection } from "../request/types.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import type { OpenConnection } from "./open_connections.ts";
import { peekClientHello } from "./peek_client_hello.ts";
import { firstProtocol } from "./preface.ts";
import type { TcpStream } from "./tcp_stream.ts";

/** Serves a connection, plaintext or TLS, until it closes. */
export type Engine = (stream: ByteStream, info: InboundConnection) => OpenConnection;

export interface Engines {
  http1: Engine;
  http2: Engine;
  /** Passes connections of TCPRoutes on. */
  tcp: Engine;
  /** Passes connections of TLSRoutes on, their TLS untouched. */
  passthrough: Engine;
  /** Passes on what is inside of a client's TLS. */
  terminated: Engine;
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
  return openAfter(stream, async () => {
    const options = { deadlines, timeout: handshakeTimeout, onTimeout: onSilence };
    const protocol = await firstProtocol(stream, options);
    return protocol === "none" ? undefined : engines[protocol](stream, info);
  });
}

/** The server name says which route gets a connection that stays as it is. */
export function openByServerName(
  { stream, infoOf }: { stream: TcpStream; infoOf: (serverName: string) => InboundConnection },
  { engines, deadlines, handshakeTimeout, onHandshakeFailure }:
    & Omit<FirstBytesOptions, "onSilence">
    & {
      onHandshakeFailure: (reason: "timeout" | "protocol" | "closed") => void;
    },
): OpenConnection {
  return openAfter(stream, async () => {
    const peeked = await peekClientHello(stream, { deadlines, timeout: handshakeTimeout });
    if (peeked.kind === "hello") return engines.passthrough(stream, infoOf(peeked.serverName));
    onHandshakeFailure(peeked.reason);
    return undefined;
  });
}

/** Serves with the engine that is chosen; without one the connection is closed. */
function openAfter(
  stream: ByteStream,
  choose: () => Promise<OpenConnection | undefined>,
): OpenConnection {
  let engine: OpenConnection | undefined;
  const serve = async () => {
    engine = await choose();
    if (engine === undefined) return stream.destroy();
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
