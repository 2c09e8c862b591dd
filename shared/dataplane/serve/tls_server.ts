/**
 * Accepts TLS connections on one socket. The certificate is looked up per handshake, so that
 * certificates and listeners come and go without touching the socket.
 */
import { createServer } from "node:tls";
import type { SecureContext, Server, TLSSocket } from "node:tls";
import type { ShownCertificate } from "./client_certificates.ts";
import type { Server as NetServer, Socket } from "node:net";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { ByteStream } from "./byte_stream.ts";
import { TlsStream } from "./tls_stream.ts";

/** Why a connection did not become a TLS connection. */
export type HandshakeFailure =
  | "no_certificate"
  /** The server name is nobody's. */
  | "no_listener"
  | "client_certificate"
  | "timeout"
  | "protocol"
  | "closed";

/** An established connection. */
export interface TlsConnection {
  stream: ByteStream;
  /** What ALPN agreed on; HTTP/1.x when the client did not offer anything (RFC 7301). */
  protocol: "h2" | "http/1.1";
  /** Lower-case; empty when the client sent no name. */
  sni: string;
  remoteAddress: string;
  remotePort: number;
}

export interface TlsServerOptions {
  hostname: string;
  /** 0 = any free port. */
  port: number;
  /** Share the port with others that do the same (SO_REUSEPORT). Default false. */
  reusePort?: boolean;
  /** The certificate for a server name; undefined closes the handshake. */
  certificateFor: (serverName: string) => SecureContext | undefined;
  /**
   * May the client stay, with what it showed? Asked after every handshake, before a byte is read.
   * Without it clients are never asked for a certificate.
   */
  admitsClient?: (serverName: string, show: () => ShownCertificate) => boolean;
  onConnection: (connection: TlsConnection) => void;
  onHandshakeFailure: (reason: HandshakeFailure) => void;
  /** Is something agreed on by ALPN? Default true: HTTP. */
  alpn?: boolean;
  /** Milliseconds from accept to the end of the handshake. */
  handshakeTimeout: number;
  deadlines: Deadlines;
  /** False closes a new connection at once. */
  admit: () => boolean;
  /** The number of handshakes under way went up or down by one: they count as connections too. */
  onHandshaking?: (change: 1 | -1) => void;
  /** The socket failed after it was bound. */
  onError?: (error: Error) => void;
}

/** A bound socket of TLS. */
export interface BoundTls extends BoundSocket {
  /** Whether clients are asked for a certificate from now on; they are not, at first. */
  askForCertificates(ask: boolean): void;
}

/** A bound socket. */
export interface BoundSocket {
  readonly port: number;
  /** Stops accepting and resolves when the address is free; open connections go on. */
  close(): Promise<void>;
}

const NO_CERTIFICATE = "no certificate for the server name";
/** What node:tls says of a peer that closed before the end of the handshake. */
const HUNG_UP = "socket hang up";

/** A server that is bound to nothing yet: connections are its own, or given to it as events. */
export function tlsServer(options: TlsServerOptions): Server {
  const server = createServer({
    ...(options.alpn === false ? {} : { ALPNProtocols: ["h2", "http/1.1", "http/1.0"] }),
    minVersion: "TLSv1.2",
    // Judged by `admitsClient`: the platform takes a resumed session for verified.
    requestCert: false,
    rejectUnauthorized: false,
    // A client that closes its side has gone: an end of a request that nobody waits for any more
    // looks the same, and must free what it holds at once.
    allowHalfOpen: false,
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
  /** Sockets that were closed here, whose failure will be reported as a hang-up. */
  let cut = 0;
  const settle = (key: string) => {
    const deadline = handshakes.get(key);
    if (deadline === undefined) return;
    deadline.stop();
    handshakes.delete(key);
    options.onHandshaking?.(-1);
  };
  server.on("connection", (socket: Socket) => {
    const key = peerKey(socket);
    // Without an address the peer is gone already.
    if (socket.remoteAddress === undefined || !options.admit()) {
      cut++;
      socket.destroy();
      return;
    }
    // What goes out in parts would wait between them for the client's acknowledgement, which takes
    // its time too: 40 ms and more for each (RFC 896 with RFC 1122 §4.2.3.2).
    socket.setNoDelay(true);
    const deadline = new Deadline(() => {
      options.onHandshakeFailure("timeout");
      cut++;
      socket.destroy();
    });
    settle(key);
    handshakes.set(key, deadline);
    options.onHandshaking?.(1);
    options.deadlines.start(deadline, options.handshakeTimeout);
    socket.once("close", () => {
      // A later connection from the same address is not this one's business.
      if (handshakes.get(key) === deadline) settle(key);
    });
  });
  // The TLS socket of a failed handshake has no address any more; `close` of the raw one settles.
  server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
    socket.destroy();
    if (error.message === NO_CERTIFICATE) return;
    const hungUp = error.message === HUNG_UP;
    if (hungUp && cut > 0) cut--;
    else options.onHandshakeFailure(hungUp ? "closed" : "protocol");
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    settle(peerKey(socket));
    const { admitsClient } = options;
    if (admitsClient !== undefined && !admitsClient(serverName(socket), () => shownBy(socket))) {
      // What fails on it from here on has nobody to hear it.
      socket.on("error", () => {});
      socket.destroy();
      return options.onHandshakeFailure("client_certificate");
    }
    options.onConnection({
      stream: new TlsStream(socket),
      protocol: socket.alpnProtocol === "h2" ? "h2" : "http/1.1",
      sni: serverName(socket),
      remoteAddress: socket.remoteAddress ?? "",
      remotePort: socket.remotePort ?? 0,
    });
  });
  return server;
}

/** Binds and accepts. Rejects when the address cannot be bound. */
export function listenTls(options: TlsServerOptions): Promise<BoundTls> {
  const server = tlsServer(options);
  return bindServer(server, server, options);
}

/**
 * Binds a server whose TLS ends in `tls`: itself, or one that it hands connections to. Rejects when
 * the address cannot be bound.
 */
export function bindServer(
  server: NetServer,
  tls: Server,
  { port, hostname: host, reusePort, onError }: Pick<
    TlsServerOptions,
    "port" | "hostname" | "reusePort" | "onError"
  >,
): Promise<BoundTls> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const address = { port, host, ...(reusePort ? { reusePort } : {}) };
    server.listen(address, () => {
      server.off("error", reject);
      // Without a listener an `error` event would end the process.
      server.on("error", (error: Error) => onError?.(error));
      const bound = server.address();
      resolve({
        port: typeof bound === "object" && bound !== null ? bound.port : port,
        // Read by the server for each connection that it accepts.
        askForCertificates: (ask) => void Object.assign(tls, { requestCert: ask }),
        close: () => {
          // Its callback waits for every connection to end; the socket itself closes at once.
          server.close();
          return new Promise((done) => setTimeout(done, 0));
        },
      });
    });
  });
}

function shownBy(socket: TLSSocket): ShownCertificate {
  // Without a certificate the object is empty, whatever its type says.
  const raw: unknown = socket.getPeerCertificate().raw;
  return {
    certificate: raw instanceof Uint8Array ? raw : undefined,
    authorized: socket.authorized,
    resumed: socket.isSessionReused(),
  };
}

function peerKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

/** `servername` is false when the client sent none, and is missing from the types. */
function serverName(socket: TLSSocket): string {
  const name = "servername" in socket ? socket.servername : false;
  return typeof name === "string" ? name.toLowerCase() : "";
}
