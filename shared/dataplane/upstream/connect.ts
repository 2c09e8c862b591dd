/** Opens the connection to an endpoint: TCP, or a Unix socket. */
import { UNIX_ADDRESS } from "../../snapshot/schema.ts";

/** A connection to an endpoint. */
export type UpstreamConn = Deno.TcpConn | Deno.UnixConn;

/**
 * Connects to an IP address, a host name or a Unix socket (`unix:/path`, port 0). Rejects when the
 * signal aborts, when nobody listens, and when the process may not open that socket.
 */
export async function connectEndpoint(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<UpstreamConn> {
  if (address.startsWith(UNIX_ADDRESS)) {
    const path = address.slice(UNIX_ADDRESS.length);
    const connection = await Deno.connect({ transport: "unix", path });
    // It takes no signal; what comes too late is closed.
    if (!signal.aborted) return connection;
    connection.close();
    throw signal.reason;
  }
  const connection = await Deno.connect({ hostname: address, port, signal });
  // Nagle's algorithm would hold the last bytes of a request back.
  connection.setNoDelay(true);
  return connection;
}
