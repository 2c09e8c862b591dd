/**
 * The public way to serve a connection that we accepted ourselves: its bytes are passed to a
 * Deno.serve on loopback, which finds the connection again by the port it was passed from.
 */
import type { NativeHandler, ServedConnection } from "./native_internal.ts";

/** A loopback server that connections are passed to. */
export interface Lane {
  serve(conn: Deno.TcpConn, handler: NativeHandler): ServedConnection;
  close(): Promise<void>;
}

/** Opens the lane. */
export function createLane(): Lane {
  /** Port of our end of a lane connection → handler of the connection behind it. */
  const handlers = new Map<number, NativeHandler>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request, info) => {
      const handler = handlers.get(info.remoteAddr.port);
      return handler === undefined ? new Response(null, { status: 403 }) : handler(request);
    },
  );
  return {
    serve(conn, handler) {
      const abort = new AbortController();
      const finished = splice(conn, {
        signal: abort.signal,
        port: server.addr.port,
        opened: (port) => handlers.set(port, handler),
        closed: (port) => handlers.delete(port),
      });
      // Without a view into the bytes there is no telling when it is between two requests.
      return { finished, shutdown: () => finished, abort: () => abort.abort() };
    },
    close: () => server.shutdown(),
  };
}

interface SpliceOptions {
  port: number;
  signal: AbortSignal;
  opened(port: number): void;
  closed(port: number): void;
}

async function splice(conn: Deno.TcpConn, options: SpliceOptions): Promise<void> {
  let lane: Deno.TcpConn;
  try {
    lane = await Deno.connect({ hostname: "127.0.0.1", port: options.port });
  } catch {
    conn.close();
    return;
  }
  const { port } = lane.localAddr;
  options.opened(port);
  const close = () => {
    for (const end of [conn, lane]) {
      try {
        end.close();
      } catch {
        // Closed by its stream already.
      }
    }
  };
  options.signal.addEventListener("abort", close, { once: true });
  if (options.signal.aborted) close();
  await Promise.allSettled([
    copy(conn, lane),
    copy(lane, conn).finally(close),
  ]);
  options.signal.removeEventListener("abort", close);
  close();
  options.closed(port);
}

async function copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  for (;;) {
    const n = await from.read(buffer);
    if (n === null) return await to.closeWrite();
    for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
  }
}
