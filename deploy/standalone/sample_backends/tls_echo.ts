/** Ends TLS with a certificate of its own, answers one line and closes. */

/** Bytes of a line. */
const LONGEST_LINE = 4 * 1024;

export interface TlsEchoOptions {
  /** 0 = any. */
  port: number;
  /** PEM. */
  certificate: string;
  key: string;
}

/** Serves on a port of loopback. Throws when it is taken. */
export function startTlsEcho(
  { port, certificate: cert, key }: TlsEchoOptions,
): { port: number; stop(): Promise<void> } {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port, cert, key });
  const open = new Map<Deno.TlsConn, Promise<void>>();
  const accepting = (async () => {
    for await (const conn of listener) {
      open.set(conn, serve(conn).finally(() => open.delete(conn)));
    }
  })();
  return {
    port: listener.addr.port,
    stop: async () => {
      listener.close();
      await accepting;
      const serving = [...open.values()];
      for (const conn of open.keys()) close(conn);
      await Promise.all(serving);
    },
  };
}

async function serve(conn: Deno.TlsConn): Promise<void> {
  try {
    let line = "";
    const buffer = new Uint8Array(LONGEST_LINE);
    while (!line.includes("\n") && line.length < LONGEST_LINE) {
      const n = await conn.read(buffer);
      if (n === null) break;
      line += new TextDecoder().decode(buffer.subarray(0, n));
    }
    const said = line.split("\n")[0]?.trim() ?? "";
    await conn.write(new TextEncoder().encode(`${said}, says the backend that ended the TLS\n`));
    await conn.closeWrite();
  } catch {
    // The handshake failed, or the client has gone.
  } finally {
    close(conn);
  }
}

function close(conn: Deno.TlsConn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
