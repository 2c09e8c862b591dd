/** Backends that do as they are told, well or badly, over bare sockets. */

/** What a backend does with one connection; it is closed afterwards. */
export type Script = (connection: BackendConnection) => Promise<void>;

/** The backend's end of a connection. */
export class BackendConnection {
  readonly #conn: Deno.Conn;
  readonly #chunk = new Uint8Array(64 * 1024);
  #text = "";

  readonly #stopped: Promise<void>;

  constructor(conn: Deno.Conn, stopped: Promise<void>) {
    this.#conn = conn;
    this.#stopped = stopped;
  }

  /** The head of the next request; undefined when the peer closed. */
  async requestHead(): Promise<string | undefined> {
    while (!this.#text.includes("\r\n\r\n")) {
      if (!await this.#more()) return undefined;
    }
    const end = this.#text.indexOf("\r\n\r\n") + 4;
    const head = this.#text.slice(0, end);
    this.#text = this.#text.slice(end);
    return head;
  }

  /** Takes `bytes` bytes of a body. Rejects when the peer closes before. */
  async requestBody(bytes: number): Promise<string> {
    while (this.#text.length < bytes) {
      if (!await this.#more()) throw new Error("closed in the body");
    }
    const body = this.#text.slice(0, bytes);
    this.#text = this.#text.slice(bytes);
    return body;
  }

  /** Sends text as it is. Rejects when the peer is gone. */
  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** Resolves when the backend stops; reads nothing until then. */
  stalled(): Promise<void> {
    return this.#stopped;
  }

  /** Resolves when the peer closed. */
  async closed(): Promise<void> {
    while (await this.#more());
  }

  async #more(): Promise<boolean> {
    try {
      const n = await this.#conn.read(this.#chunk);
      if (n === null) return false;
      this.#text += new TextDecoder("latin1").decode(this.#chunk.subarray(0, n));
      return true;
    } catch {
      return false;
    }
  }
}

/** A listening backend on loopback. */
export class ScriptedBackend {
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #stopping = Promise.withResolvers<void>();
  #accepted = 0;

  private constructor(listener: Deno.TcpListener, script: Script) {
    this.#listener = listener;
    this.#accepting = this.#accept(script);
  }

  /** Starts it on a free port. */
  static start(script: Script): ScriptedBackend {
    return new ScriptedBackend(Deno.listen({ hostname: "127.0.0.1", port: 0 }), script);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Connections that there ever were. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#open.size;
  }

  async stop(): Promise<void> {
    this.#stopping.resolve();
    this.#listener.close();
    for (const conn of this.#open) close(conn);
    await Promise.all([this.#accepting, ...this.#running]);
  }

  async #accept(script: Script): Promise<void> {
    for (;;) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch {
        return;
      }
      this.#accepted++;
      this.#open.add(conn);
      const run = script(new BackendConnection(conn, this.#stopping.promise)).catch(() => {})
        .finally(() => {
          close(conn);
          this.#open.delete(conn);
          this.#running.delete(run);
        });
      this.#running.add(run);
    }
  }
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed already.
  }
}

/** Answers every request with `body`. */
export function answering(body: string): Script {
  return async (connection) => {
    while (await connection.requestHead() !== undefined) {
      await connection.send(
        `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    }
  };
}
