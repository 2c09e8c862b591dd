/**
 * Accepts TLS connections on one socket. The certificate is looked up per handshake, so that
 * certificates and listeners come and go without touching the socket.
 */
import { createServer } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Socket } from "node:net";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import { TlsStream } from "./tls_stream.ts";

/** Why a connection did not become a TLS connection. */
export type HandshakeFailure = "no_certificate" | "timeout" | "protocol";

/** An established connection. */
export interface TlsConnection {
  stream: TlsStream;
  /** Lower-case; empty when the client sent no name. */
  sni: string;
  remoteAddress: string;
  remotePort: number;
}

export interface TlsServerOptions {
  hostname: string;
  /** 0 = any free port. */
  port: number;
  /** The certificate for a server name; undefined closes the handshake. */
  certificateFor: (serverName: string) => SecureContext | undefined;
  onConnection: (connection: TlsConnection) => void;
  onHandshakeFailure: (reason: HandshakeFailure) => void;
  /** Milliseconds from accept to the end of the handshake. */
  handshakeTimeout: number;
  deadlines: Deadlines;
  /** False closes a new connection at once. */
  admit: () => boolean;
}

/** A bound socket. */
export interface BoundSocket {
  readonly port: number;
  /** Stops accepting and resolves when the address is free; open connections go on. */
  close(): Promise<void>;
}

const NO_CERTIFICATE = "no certificate for the server name";

/** Binds and accepts. Rejects when the address cannot be bound. */
export function listenTls(options: TlsServerOptions): Promise<BoundSocket> {
  const server = createServer({
    ALPNProtocols: ["http/1.1"],
    minVersion: "TLSv1.2",
    SNICallback: (name, answer) => {
      const context = options.certificateFor(name.toLowerCase());
      if (context !== undefined) return answer(null, context);
      options.onHandshakeFailure("no_certificate");
      answer(new Error(NO_CERTIFICATE));
    },
  });
  // From the raw socket to the TLS socket over it there is no public way but the peer's address,
  // which is unique among the open connections of one bound socket.
  const handshakes = new Map<string, Deadline>();
  const settle = (key: string) => {
    handshakes.get(key)?.stop();
    handshakes.delete(key);
  };
  server.on("connection", (socket: Socket) => {
    if (!options.admit()) {
      socket.destroy();
      return;
    }
    const key = peerKey(socket);
    const deadline = new Deadline(() => {
      options.onHandshakeFailure("timeout");
      handshakes.delete(key);
      socket.destroy();
    });
    options.deadlines.start(deadline, options.handshakeTimeout);
    handshakes.set(key, deadline);
    socket.once("close", () => settle(key));
  });
  server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
    // Counted already: names that nobody serves, and handshakes that were cut.
    const counted = error.message === NO_CERTIFICATE || !handshakes.has(peerKey(socket));
    if (!counted) options.onHandshakeFailure("protocol");
    settle(peerKey(socket));
    socket.destroy();
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    settle(peerKey(socket));
    options.onConnection({
      stream: new TlsStream(socket),
      sni: serverName(socket),
      remoteAddress: socket.remoteAddress ?? "",
      remotePort: socket.remotePort ?? 0,
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.hostname, () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : options.port,
        close: () => {
          // Its callback waits for every connection to end; the socket itself closes at once.
          server.close();
          return new Promise((done) => setTimeout(done, 0));
        },
      });
    });
  });
}

function peerKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

/** `servername` is false when the client sent none, and is missing from the types. */
function serverName(socket: TLSSocket): string {
  const name = "servername" in socket ? socket.servername : false;
  return typeof name === "string" ? name.toLowerCase() : "";
}
