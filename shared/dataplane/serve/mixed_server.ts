/**
 * One socket for listeners that end TLS and listeners that pass it on: the server name, read before
 * the handshake, says which. A connection that is nobody's is closed without a TLS alert, so that its
 * client sees no server that there is not (Gateway API, TLSRoute).
 */
import { createServer, type Socket } from "node:net";
import { Deadline } from "../upstream/deadlines.ts";
import { ClientHelloReader } from "./client_hello.ts";
import { HeldBytes } from "./held_bytes.ts";
import {
  bindServer,
  type BoundTls,
  type TlsConnection,
  tlsServer,
  type TlsServerOptions,
} from "./tls_server.ts";
import { TlsStream } from "./tls_stream.ts";

/** Who takes a connection. */
export type TlsTaker =
  /** Requests: ALPN offers what is spoken. */
  | "https"
  /** A TLSRoute or TCPRoute that gets what is inside; nothing is agreed on about that (ALPN). */
  | "tls"
  | "passthrough"
  | "nobody";

export interface MixedServerOptions extends Omit<TlsServerOptions, "onConnection"> {
  /** Lower-case; empty without a name. */
  takerOf: (serverName: string) => TlsTaker;
  /** With the client's handshake over, or untouched. */
  onConnection: (connection: TlsConnection, taker: Exclude<TlsTaker, "nobody">) => void;
}

/** Binds and accepts. Rejects when the address cannot be bound. */
export function listenMixed(options: MixedServerOptions): Promise<BoundTls> {
  const { takerOf, onConnection, handshakeTimeout, deadlines, onHandshakeFailure } = options;
  const https = tlsServer({ ...options, onConnection: (one) => onConnection(one, "https") });
  const tls = tlsServer({
    ...options,
    alpn: false,
    onConnection: (one) => onConnection(one, "tls"),
  });
  const handOver = (socket: Socket, serverName: string) => {
    const taker = takerOf(serverName);
    switch (taker) {
      case "https":
        // As on a socket of HTTPS alone: a client that closes its side has gone.
        socket.allowHalfOpen = false;
        return void https.emit("connection", socket);
      case "tls":
        return void tls.emit("connection", socket);
      case "passthrough": {
        const stream = new TlsStream(socket);
        socket.resume();
        return onConnection({
          stream,
          protocol: "http/1.1",
          sni: serverName,
          remoteAddress: socket.remoteAddress ?? "",
          remotePort: socket.remotePort ?? 0,
        }, taker);
      }
      case "nobody":
        onHandshakeFailure("no_listener");
        socket.destroy();
    }
  };
  const front = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (socket.remoteAddress === undefined || !options.admit()) return void socket.destroy();
    const reader = new ClientHelloReader();
    const held = new HeldBytes();
    options.onHandshaking?.(1);
    const deadline = new Deadline(() => {
      onHandshakeFailure("timeout");
      socket.destroy();
    });
    deadlines.start(deadline, handshakeTimeout);
    const settle = () => {
      deadline.stop();
      options.onHandshaking?.(-1);
      socket.off("data", onData);
      socket.off("end", onGone);
      socket.off("close", settle);
    };
    const onGone = () => {
      onHandshakeFailure("closed");
      socket.destroy();
    };
    const onData = (bytes: Uint8Array) => {
      held.push(bytes);
      const answer = reader.push(bytes);
      if (answer.kind === "incomplete") return;
      settle();
      if (answer.kind === "invalid") {
        onHandshakeFailure("protocol");
        return void socket.destroy();
      }
      socket.pause();
      socket.unshift(held.take());
      handOver(socket, answer.serverName);
    };
    socket.on("data", onData);
    socket.on("end", onGone);
    socket.on("close", settle);
    // Whatever fails is told by `close`; without a listener it would end the process.
    socket.on("error", () => {});
  });
  return bindServer(front, https, options);
}
