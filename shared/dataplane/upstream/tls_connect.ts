/** Opens a TLS connection to an endpoint and makes sure of who answers. */
import { connect, type TLSSocket } from "node:tls";
import type { UpstreamConn } from "./connect.ts";
import { UpstreamError } from "./errors.ts";
import { identityProblem } from "./server_identity.ts";
import type { TlsProfile } from "./tls_profiles.ts";

export interface TlsTarget {
  address: string;
  port: number;
  profile: TlsProfile;
  /**
   * Offered by ALPN (RFC 7301). HTTP/2 has to be agreed on; HTTP/1.1 is spoken without as well. Null:
   * nothing is offered, as what is spoken is not known.
   */
  protocol: "http/1.1" | "h2" | null;
  signal: AbortSignal;
}

/**
 * Connects. The chain is verified by the TLS library against the profile's authorities alone, and
 * the identity here; not a byte of a request is sent before.
 *
 * @throws UpstreamError `connect`, `tls_handshake` or `tls_identity`; the signal's reason when it
 *   aborts
 */
export function connectTls(target: TlsTarget): Promise<TLSSocket> {
  const { address, port, profile, protocol, signal } = target;
  if (signal.aborted) return Promise.reject(signal.reason);
  const where = `${address}:${port}`;
  return new Promise((resolve, reject) => {
    let connected = false;
    const options = {
      host: address,
      port,
      servername: profile.serverName,
      secureContext: profile.context,
      ...(protocol === null ? {} : { ALPNProtocols: [protocol] }),
      rejectUnauthorized: true,
      // Judged below: the platform judges by a text in which names can pass for others.
      checkServerIdentity: () => undefined,
      // A tunnel's directions end one after the other.
      allowHalfOpen: true,
    };
    const socket = connect(options);
    const settle = (error?: unknown) => {
      signal.removeEventListener("abort", onAbort);
      socket.off("close", onClose);
      if (error === undefined) {
        socket.off("error", onError);
        return resolve(socket);
      }
      // What is said after this has nobody to hear it, and must not end the process.
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    };
    const onAbort = () => settle(signal.reason);
    const onError = (cause: Error) =>
      settle(
        connected
          ? handshakeError(where, cause)
          : new UpstreamError("connect", `${where}: connect failed`, { cause }),
      );
    const onClose = () => onError(new Error("closed during the handshake"));
    signal.addEventListener("abort", onAbort);
    socket.setNoDelay(true);
    socket.once("connect", () => connected = true);
    socket.on("error", onError);
    socket.once("close", onClose);
    socket.once("secureConnect", () => settle(problemOf(socket, target)));
  });
}

const UNTRUSTED = /^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|CERT_|ERR_TLS_CERT|INVALID_|HOSTNAME_)/;

function handshakeError(where: string, cause: Error): UpstreamError {
  const code = "code" in cause ? String(cause.code) : "";
  return UNTRUSTED.test(code)
    ? new UpstreamError("tls_identity", `${where}: its certificate is not trusted (${code})`, {
      cause,
      unprocessed: true,
    })
    : new UpstreamError("tls_handshake", `${where}: TLS handshake failed`, {
      cause,
      unprocessed: true,
    });
}

function problemOf(
  socket: TLSSocket,
  { address, port, profile, protocol }: TlsTarget,
): UpstreamError | undefined {
  const where = `${address}:${port}`;
  // A session would have been verified under who knows which authorities; none is ever offered.
  if (!socket.authorized || socket.isSessionReused()) {
    return new UpstreamError("tls_identity", `${where}: its certificate was not verified`, {
      unprocessed: true,
    });
  }
  const raw: unknown = socket.getPeerCertificate().raw;
  const problem = raw instanceof Uint8Array
    ? identityProblem(raw, profile)
    : "it showed no certificate";
  if (problem !== undefined) {
    return new UpstreamError("tls_identity", `${where}: ${problem}`, { unprocessed: true });
  }
  if (protocol === "h2" && socket.alpnProtocol !== "h2") {
    return new UpstreamError("tls_handshake", `${where}: it did not agree to speak HTTP/2`, {
      unprocessed: true,
    });
  }
  return undefined;
}

/** Received bytes that may wait before the socket is paused. */
const HIGH_WATER = 64 * 1024;

/** A TLS socket with the face of a plaintext connection. */
export class TlsConn implements UpstreamConn {
  readonly #socket: TLSSocket;
  #chunks: Uint8Array[] = [];
  #queued = 0;
  #ended = false;
  #error: Error | null = null;
  #waiting: (() => void) | null = null;

  /** @param socket whose handshake is over; owned from now on */
  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#queued += chunk.length;
      if (this.#queued >= HIGH_WATER) socket.pause();
      this.#wake();
    });
    socket.on("end", () => this.#finish());
    socket.on("error", (error: Error) => {
      this.#error = error;
      this.#finish();
    });
    socket.on("close", () => this.#finish());
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#error !== null) throw this.#error;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#waiting = resolve);
    }
    let filled = 0;
    while (filled < into.length) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) break;
      const part = chunk.subarray(0, into.length - filled);
      into.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    this.#queued -= filled;
    if (this.#queued < HIGH_WATER && this.#socket.isPaused()) this.#socket.resume();
    return filled;
  }

  /** Resolves when the bytes are the caller's again, which is when they are encrypted and out. */
  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => void this.#socket.end(() => resolve()));
  }

  close(): void {
    this.#socket.destroy();
  }

  #finish(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }
}
