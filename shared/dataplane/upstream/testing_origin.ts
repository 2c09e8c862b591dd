/** For tests: an origin that speaks raw bytes, so that it can misbehave in every way. */

/** One accepted connection of the origin. */
export interface OriginConnection {
  readonly conn: Deno.TcpConn;
  /** Number of the connection, from 1. */
  readonly number: number;
  /** Reads up to the end of the next head; null when the peer closed. */
  head(): Promise<string | null>;
  /** Reads `bytes` bytes of body. */
  body(bytes: number): Promise<string>;
  /** Writes text as ISO 8859-1 would (ASCII only here). */
  send(text: string): Promise<void>;
  /** Resolves when the peer closed or reset the connection. */
  gone(): Promise<void>;
}

/** A running origin. */
export interface Origin {
  readonly address: string;
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Starts an origin on a loopback port; `script` runs per connection, which closes at its end. */
export function startOrigin(script: (connection: OriginConnection) => Promise<void>): Origin {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const running = new Set<Promise<void>>();
  let accepted = 0;
  const loop = (async () => {
    for await (const conn of listener) {
      accepted += 1;
      open.add(conn);
      const run: Promise<void> = script(connection(conn, accepted)).catch(() => {}).then(() => {
        open.delete(conn);
        running.delete(run);
        closeQuietly(conn);
      });
      running.add(run);
    }
  })();
  let closing: Promise<void> | undefined;
  const close = async () => {
    listener.close();
    await loop;
    for (const conn of open) closeQuietly(conn);
    await Promise.all(running);
  };
  return {
    address: "127.0.0.1",
    port: listener.addr.port,
    get accepted() {
      return accepted;
    },
    close: () => closing ??= close(),
  };
}

/** An origin that answers every request with what `answer` gives for its head. */
export function answeringOrigin(answer: (head: string, number: number) => string): Origin {
  return startOrigin(async (c) => {
    for (let head = await c.head(); head !== null; head = await c.head()) {
      const length = /\r\ncontent-length: (\d+)/i.exec(head);
      if (length !== null) await c.body(Number(length[1]));
      await c.send(answer(head, c.number));
    }
  });
}

/** A port of loopback that nothing listens on. */
export function refusingPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** Raw exchange as a client: sends, and reads until the peer closes or `until` is in the answer. */
export async function rawRequest(
  port: number,
  text: string,
  until?: string,
): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await write(conn, text);
    return await readUntil(conn, until);
  } finally {
    closeQuietly(conn);
  }
}

/** Reads text until the peer closes or it contains `until`. */
export async function readUntil(conn: Deno.TcpConn, until?: string): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  while (until === undefined || !text.includes(until)) {
    const n = await conn.read(buffer).catch(() => null);
    if (n === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

async function write(conn: Deno.TcpConn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function connection(conn: Deno.TcpConn, number: number): OriginConnection {
  let held = "";
  const buffer = new Uint8Array(64 * 1024);
  const more = async () => {
    const n = await conn.read(buffer);
    if (n === null) return false;
    held += new TextDecoder("latin1").decode(buffer.subarray(0, n));
    return true;
  };
  return {
    conn,
    number,
    async head() {
      while (!held.includes("\r\n\r\n")) if (!await more()) return null;
      const end = held.indexOf("\r\n\r\n") + 4;
      const head = held.slice(0, end);
      held = held.slice(end);
      return head;
    },
    async body(bytes) {
      while (held.length < bytes) if (!await more()) throw new Error("closed in the body");
      const body = held.slice(0, bytes);
      held = held.slice(bytes);
      return body;
    },
    send: (text) => write(conn, text),
    async gone() {
      while (await more().catch(() => false)) held = "";
    },
  };
}

function closeQuietly(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // Closed already.
  }
}
