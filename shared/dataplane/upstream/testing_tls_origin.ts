/** For tests: backends that speak TLS, and tell what they saw. */
import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import { createServer, type TLSSocket } from "node:tls";
import type { SelfSigned } from "../../secrets/self_signed.ts";

export interface TlsOrigin {
  readonly port: number;
  /** SNI of every connection whose handshake ended well here. */
  readonly names: string[];
  /** PEM of the client's certificate per connection; empty for none. */
  readonly clients: string[];
  /** Requests seen: their first lines. */
  readonly requests: string[];
  close(): Promise<void>;
}

export interface TlsOriginOptions {
  identity: SelfSigned;
  /** ALPN; default `http/1.1`. */
  protocols?: string[];
  /** Ask clients for certificates of these authorities, and refuse all others. */
  clientAuthority?: string;
  /** A client that sends nothing more can still be answered. Default false. */
  allowHalfOpen?: boolean;
  /** Runs instead of the answers, with the socket after its handshake. */
  script?: (socket: TLSSocket) => void;
}

/** HTTP/1.1 over TLS: answers every request without a body with what was asked. */
export async function startTlsOrigin(options: TlsOriginOptions): Promise<TlsOrigin> {
  const { identity, protocols = ["http/1.1"], clientAuthority, script } = options;
  const { allowHalfOpen = false } = options;
  const seen = { names: [] as string[], clients: [] as string[], requests: [] as string[] };
  const sockets = new Set<TLSSocket>();
  const server = createServer({
    cert: identity.certificate,
    key: identity.key,
    ALPNProtocols: protocols,
    allowHalfOpen,
    ...(clientAuthority === undefined
      ? {}
      : { ca: clientAuthority, requestCert: true, rejectUnauthorized: true }),
  }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    seen.names.push("servername" in socket ? String(socket.servername) : "");
    const { raw } = socket.getPeerCertificate();
    seen.clients.push(raw === undefined ? "" : pem(raw));
    if (script !== undefined) return script(socket);
    let held = "";
    socket.on("data", (bytes: Uint8Array) => {
      held += new TextDecoder().decode(bytes);
      for (let end = held.indexOf("\r\n\r\n"); end >= 0; end = held.indexOf("\r\n\r\n")) {
        const head = held.slice(0, end);
        held = held.slice(end + 4);
        const line = head.slice(0, head.indexOf("\r\n"));
        seen.requests.push(line);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${line.length}\r\n\r\n${line}`);
      }
    });
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { ...seen, port: portOf(server.address()), close: () => end(server, sockets) };
}

/** HTTP/2 over TLS alone. */
export async function startHttp2TlsOrigin(identity: SelfSigned): Promise<TlsOrigin> {
  const seen = { names: [] as string[], clients: [] as string[], requests: [] as string[] };
  const server = createSecureServer({ cert: identity.certificate, key: identity.key });
  const sockets = new Set<{ destroy(): void }>();
  server.on("session", (session) => sockets.add(session));
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    seen.requests.push(`${headers[":method"]} ${headers[":path"]} HTTP/2`);
    stream.respond({ ":status": 200 });
    stream.end("over h2");
  });
  server.on("sessionError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { ...seen, port: portOf(server.address()), close: () => end(server, sockets) };
}

function portOf(address: ReturnType<ReturnType<typeof createServer>["address"]>): number {
  if (address === null || typeof address === "string") throw new Error("not bound to a port");
  return address.port;
}

async function end(
  server: { close(done: () => void): unknown },
  sockets: Iterable<{ destroy(): void }>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
  for (const socket of sockets) socket.destroy();
  await closed;
}

function pem(der: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...der)).match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${base64.join("\n")}\n-----END CERTIFICATE-----`;
}
