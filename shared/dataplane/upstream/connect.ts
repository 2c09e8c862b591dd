/** Opens the connection to an endpoint: TCP, or a Unix socket. */
import { UNIX_ADDRESS } from "../../snapshot/schema.ts";

/** A connection to an endpoint, as HTTP/1.1 and tunnels see it. */
export interface UpstreamConn {
  /** Fills the buffer as far as there is something; null at the end. One call at a time. */
  read(into: Uint8Array): Promise<number | null>;
  /** Bytes taken; they are the caller's again. */
  write(bytes: Uint8Array): Promise<number>;
  /** Closes the sending side. */
  closeWrite(): Promise<void>;
  /** Closes at once. */
  close(): void;
}

/** A plaintext connection. */
export type PlainConn = Deno.TcpConn | Deno.UnixConn;

/**
 * Connects to an IP address, a host name or a Unix socket (`unix:/path`, port 0). Rejects when the
 * signal aborts, when nobody listens, and when the process may not open that socket.
 */
export async function connectEndpoint(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<PlainConn> {
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
