/** For tests: plaintext connections into the HTTP/1.1 codec, a request core, and a raw origin. */
import type { InboundConnection, RequestHandler } from "../request/types.ts";
import type { Limits } from "../request/limits.ts";
import { type CoreOptions, type TestCore, testCore } from "../request/testing_core.ts";
import { answeringOrigin, type Origin } from "../upstream/testing_origin.ts";
import { openHttp1 } from "./http1_connection.ts";
import type { ServedHttp1 } from "./http1_connection.ts";
import { TcpStream } from "./tcp_stream.ts";
import { WriteBuffers } from "./write_buffers.ts";

export interface Plaintext {
  port: number;
  core: TestCore;
  connections: Set<ServedHttp1>;
}

export interface PlaintextOptions {
  /** Default: answers with the head that it got. */
  origin?: Origin;
  limits?: Partial<Limits>;
  handler?: (core: TestCore) => RequestHandler;
  rules?: CoreOptions["rules"];
  ending?: () => boolean;
}

/** Runs a test against a port that is served, and closes everything. */
export async function withPlaintext(
  options: PlaintextOptions,
  run: (plaintext: Plaintext) => Promise<void>,
): Promise<void> {
  const origin = options.origin ?? echoWithCookies();
  const core = testCore({
    rules: options.rules ?? [{}],
    backends: { a: origin.port },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<ServedHttp1>();
  const buffers = new WriteBuffers();
  const handler = options.handler?.(core) ?? core.handler;
  const { client: { deadlines }, limits, stats } = core;
  const loop = (async () => {
    for await (const conn of listener) {
      const connection: InboundConnection = {
        scheme: "http",
        remoteAddress: conn.remoteAddr.hostname,
        remotePort: conn.remoteAddr.port,
        port: 80,
        scope: "gateway/d/g",
        sni: "",
        table: () => core.table.ports.get(80),
        snapshotVersion: () => core.table.version,
      };
      connections.add(openHttp1(new TcpStream(conn), connection, {
        handler,
        limits,
        deadlines,
        onLimit: (limit) => stats.limitExceeded(limit),
        buffers,
        ...(options.ending === undefined ? {} : { ending: options.ending }),
        date: () => "Thu, 01 Jan 1970 00:00:00 GMT",
      }));
    }
  })();
  try {
    await run({ port: listener.addr.port, core, connections });
  } finally {
    listener.close();
    await loop;
    for (const connection of connections) connection.abort();
    await Promise.all([...connections].map((connection) => connection.finished));
    core.close();
    await origin.close();
  }
}

function echoWithCookies(): Origin {
  return answeringOrigin((head) =>
    `HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: ${head.length}\r\n\r\n${head}`
  );
}
