/** Accepts plaintext connections on one socket. */
import { errorMessage } from "../../lib/log.ts";
import type { Logger } from "../../lib/log.ts";
import type { BoundSocket } from "./tls_server.ts";

export interface TcpServerOptions {
  hostname: string;
  /** 0 = any free port. */
  port: number;
  /** Share the port with others that do the same (SO_REUSEPORT). Default false. */
  reusePort?: boolean;
  log: Logger;
  onConnection: (connection: Deno.TcpConn) => void;
  /** False closes a new connection at once. */
  admit: () => boolean;
}

/** Milliseconds to wait when accepting fails, as it does when file descriptors run out. */
const ACCEPT_PAUSE = 50;

/** Binds and accepts. Throws when the address cannot be bound. */
export function bindTcp(options: TcpServerOptions): BoundSocket {
  const { hostname, port, reusePort } = options;
  // Naming the option at all takes the flag for unstable network features.
  const listener = Deno.listen({ hostname, port, ...(reusePort ? { reusePort } : {}) });
  let closed = false;
  let failing = false;
  const accept = async () => {
    while (!closed) {
      try {
        const connection = await listener.accept();
        if (failing) options.log.info("accepting_again", { port: listener.addr.port });
        failing = false;
        if (options.admit()) options.onConnection(connection);
        else connection.close();
      } catch (error) {
        if (closed) return;
        if (!failing) {
          options.log.warn("accept_failed", { port, error: errorMessage(error) });
        }
        failing = true;
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
      }
    }
  };
  const accepting = accept();
  return {
    port: listener.addr.port,
    close: async () => {
      closed = true;
      listener.close();
      // The address is free only when the pending accept has let go of the socket.
      await accepting;
    },
  };
}
