/** A TLS server with the codecs behind it, and clients on raw sockets, for tests. */
import { selfSigned } from "../../secrets/self_signed.ts";
import { systemClock } from "../../lib/clock.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import type { Limits } from "../request/limits.ts";
import type { InboundRequest, OutboundResponse, ResponseOutcome } from "../request/types.ts";
import { Deadlines } from "../upstream/deadlines.ts";
import { openHttp1 } from "./http1_connection.ts";
import type { LimitName, ServedHttp1 } from "./http1_connection.ts";
import { openHttp2 } from "./http2_connection.ts";
import { CertificateStore } from "./tls_contexts.ts";
import { listenTls } from "./tls_server.ts";
import { WriteBuffers } from "./write_buffers.ts";

const names = ["localhost", "a.test", "*.wild.test"];
export const [first, second] = await Promise.all(
  [names, ["b.test"]].map((dns) =>
    selfSigned({
      names: dns,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
    })
  ),
) as [Awaited<ReturnType<typeof selfSigned>>, Awaited<ReturnType<typeof selfSigned>>];

/** What a test answers; members left out are those of an empty 200. */
export type Handle = (request: InboundRequest) => Promise<Partial<OutboundResponse>>;

export interface Server {
  port: number;
  certificates: CertificateStore;
  limits: string[];
  handshakeFailures: string[];
  outcomes: ResponseOutcome[];
  /** Resolves when the next connection has been served to its end. */
  served: () => Promise<void>;
  /** Drains every connection. */
  drain: () => Promise<unknown>;
}

export async function withServer(
  handle: Handle,
  use: (server: Server) => Promise<void>,
  limits: Partial<Limits> = {},
): Promise<void> {
  const deadlines = new Deadlines(systemClock);
  const certificates = new CertificateStore();
  certificates.set({ slot: "first", chain: first.certificate, key: first.key, fingerprint: "1" });
  certificates.set({
    slot: "second",
    chain: second.certificate,
    key: second.key,
    fingerprint: "2",
  });
  const server: Server = {
    port: 0,
    certificates,
    limits: [],
    handshakeFailures: [],
    outcomes: [],
    served: () => Promise.resolve(),
    drain: () => Promise.all(connections.map((connection) => connection.drain())),
  };
  const connections: ServedHttp1[] = [];
  const buffers = new WriteBuffers();
  const all = { ...DEFAULT_LIMITS, ...limits };
  const socket = await listenTls({
    hostname: "127.0.0.1",
    port: 0,
    deadlines,
    handshakeTimeout: all.headTimeout,
    admit: () => true,
    certificateFor: (name) =>
      name === "nobody.test" ? undefined : certificates.choose(["first", "second"], name),
    onHandshakeFailure: (reason) => server.handshakeFailures.push(reason),
    onConnection: ({ stream, protocol, sni, remoteAddress, remotePort }) => {
      const info = {
        scheme: "https",
        remoteAddress,
        remotePort,
        port: 443,
        scope: "gateway/ns/gw",
        sni,
        table: () => undefined,
        snapshotVersion: () => 1,
      } as const;
      const open = protocol === "h2" ? openHttp2 : openHttp1;
      connections.push(open(stream, info, {
        limits: all,
        deadlines,
        clock: systemClock,
        onLimit: (limit: LimitName) => server.limits.push(limit),
        buffers,
        date: () => "Thu, 01 Jan 1970 00:00:00 GMT",
        handler: async (request: InboundRequest) => ({
          status: 200,
          headers: [],
          body: null,
          upgrade: "",
          close: false,
          done: (outcome) => server.outcomes.push(outcome),
          ...await handle(request),
        }),
      }));
    },
  });
  server.port = socket.port;
  server.served = async () => {
    await Promise.all(connections.map(({ finished }) => finished));
  };
  try {
    await use(server);
    await server.served();
  } finally {
    await socket.close();
    deadlines.close();
  }
}

export async function dial(
  server: Server,
  hostname = "localhost",
  ca = first,
): Promise<Deno.TlsConn> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  return await Deno.startTls(tcp, { hostname, caCerts: [ca.certificate] });
}

export async function send(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Reads until the peer closes. */
export async function readAll(conn: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(64 * 1024);
  const decoder = new TextDecoder();
  try {
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      text += decoder.decode(buffer.subarray(0, n), { stream: true });
    }
  } catch (error) {
    // A peer that closes without close_notify ends the stream too; one that closes before it read
    // everything resets the connection.
    const ended = error instanceof Deno.errors.UnexpectedEof ||
      error instanceof Deno.errors.ConnectionReset;
    if (!ended) throw error;
  }
  conn.close();
  return text;
}

/** Reads until `end` is there. */
export async function readUntil(conn: Deno.Conn, end: string): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(64 * 1024);
  while (!text.includes(end)) {
    const n = await conn.read(buffer);
    if (n === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

export async function ask(server: Server, text: string): Promise<string> {
  const conn = await dial(server);
  await send(conn, text);
  return await readAll(conn);
}

export async function readBody(request: InboundRequest): Promise<string> {
  let text = "";
  const body = request.body;
  if (body === null) return "";
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    text += new TextDecoder().decode(chunk);
  }
  return text;
}

export const echo: Handle = async (request) => ({
  body: new TextEncoder().encode(`${request.method} ${request.target} ${await readBody(request)};`),
});
