/** Chooses, once at start-up, how Deno's HTTP engine is reached: internals if they pass, else not. */
import { createLane } from "./native_lane.ts";
import {
  internalCodec,
  internalServe,
  type NativeCodec,
  type NativeHandler,
  publicCodec,
  type ServeConnection,
  type ServedConnection,
} from "./native_internal.ts";
import { SpentBodies } from "./native_spent.ts";

/** Deno's HTTP engine, one accepted connection at a time. */
export interface NativeEngine {
  /** `internal`, or why it is not. */
  readonly mode: "internal" | "public";
  readonly codec: NativeCodec;
  /** Takes whole bodies that were answered. */
  readonly spent: SpentBodies;
  /** Serves the connection, which it owns from now on. `finished` never rejects. */
  serve(conn: Deno.TcpConn, handler: NativeHandler): ServedConnection;
  /** Closes what the engine itself holds open. */
  close(): Promise<void>;
}

/** Makes the engine. `internals: false` forces the public API. */
export async function createNativeEngine(
  options: { internals?: boolean } = {},
): Promise<NativeEngine> {
  if (options.internals !== false) {
    const engine = await internalEngine();
    if (engine !== undefined) return engine;
  }
  const lane = createLane();
  const spent = new SpentBodies();
  return {
    mode: "public",
    codec: publicCodec,
    spent,
    serve: (conn, handler) => lane.serve(conn, handler),
    close: () => {
      spent.close();
      return lane.close();
    },
  };
}

async function internalEngine(): Promise<NativeEngine | undefined> {
  const serve = internalServe();
  if (serve === undefined) return undefined;
  try {
    const codec = await selfTest(serve);
    if (codec === undefined) return undefined;
    const spent = new SpentBodies();
    const close = () => Promise.resolve(spent.close());
    return { mode: "internal", codec, spent, serve, close };
  } catch {
    return undefined;
  }
}

/** Sends one request through a loopback connection and compares what both sides see. */
async function selfTest(serve: ServeConnection): Promise<NativeCodec | undefined> {
  let codec: NativeCodec | undefined;
  let seen = "";
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const { port } = listener.addr;
    const [client, conn] = await Promise.all([
      Deno.connect({ hostname: "127.0.0.1", port }),
      listener.accept(),
    ]);
    const served = serve(conn, (request) => {
      codec = internalCodec(request);
      if (codec === undefined) return Promise.resolve(new Response(null, { status: 500 }));
      const { method, url, headers } = codec.readHead(request);
      const body = codec.readBody(request);
      seen = `${method} ${url} ${headers.join("|")} ${body instanceof Uint8Array}`;
      const answer = new TextEncoder().encode("ok");
      return Promise.resolve(codec.buildResponse(203, ["x-a", "1", "x-a", "2"], answer));
    });
    try {
      await client.write(new TextEncoder().encode(
        "POST //a?b HTTP/1.1\r\nHost: Test\r\nX-Y: z\r\nContent-Length: 1\r\nConnection: close\r\n\r\n!",
      ));
      const answer = (await new Response(client.readable).text()).toLowerCase();
      const right = answer.startsWith("http/1.1 203 ") &&
        answer.includes("\r\nx-a: 1\r\nx-a: 2\r\n") &&
        answer.includes("\r\ncontent-length: 2\r\n") && answer.endsWith("\r\n\r\nok") &&
        seen === "POST http://Test//a?b host|Test|x-y|z|content-length|1|connection|close true";
      return right ? codec : undefined;
    } finally {
      served.abort();
      await served.finished;
    }
  } finally {
    listener.close();
  }
}
