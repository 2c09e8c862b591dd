/** An HTTP/1.1 client over a bare socket: what it sends and what it saw are exactly that. */

/** Where to connect, and how. */
export interface Target {
  /** Default `127.0.0.1`. */
  hostname?: string;
  port: number;
  tls?: {
    /** SNI, and the name that the certificate must carry. */
    serverName: string;
    /** PEM certificates that are trusted, and no others. */
    trust: readonly string[];
  };
}

export interface RawResponse {
  status: number;
  /** Names in lower case; repeated ones joined with `, `. */
  headers: ReadonlyMap<string, string>;
  body: string;
}

/** The peer closed the connection before the end of an answer. */
export class ConnectionCut extends Error {
  override name = "ConnectionCut";
  /** What had come by then, head included. */
  readonly received: string;
  constructor(received: string) {
    super(`the connection was cut after ${JSON.stringify(received.slice(0, 200))}`);
    this.received = received;
  }
}

/** Milliseconds that a read may take. A bound for a test that hangs, not an expectation. */
const READ_BOUND = 20_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

/** One connection. */
export class RawConnection {
  readonly #conn: Deno.Conn;
  readonly #chunk = new Uint8Array(64 * 1024);
  /** Received and not yet taken; a character is a byte. */
  #text = "";
  #closed = false;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects; with `tls` it also shakes hands. Rejects when either fails. */
  static async open(target: Target): Promise<RawConnection> {
    const { hostname = "127.0.0.1", port, tls } = target;
    const conn = await Deno.connect({ hostname, port });
    conn.setNoDelay(true);
    if (tls === undefined) return new RawConnection(conn);
    const secure = await Deno.startTls(conn, {
      hostname: tls.serverName,
      caCerts: [...tls.trust],
    });
    try {
      await secure.handshake();
    } catch (error) {
      secure.close();
      throw error;
    }
    return new RawConnection(secure);
  }

  /** Sends bytes as they are; text as UTF-8. */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** Sends a GET with the usual head. */
  get(path: string, host: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}`);
    return this.send(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
  }

  /**
   * Reads one whole answer to a request other than HEAD.
   *
   * @throws {ConnectionCut} when the peer closes before its end
   */
  async response(): Promise<RawResponse> {
    const head = await this.#through("\r\n\r\n");
    const [statusLine = "", ...lines] = head.split("\r\n").filter((line) => line !== "");
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      const before = headers.get(name);
      headers.set(name, before === undefined ? value : `${before}, ${value}`);
    }
    const status = Number(statusLine.slice(9, 12));
    const body = await this.#body(status, headers).catch((error) => {
      throw error instanceof ConnectionCut ? new ConnectionCut(head + error.received) : error;
    });
    return { status, headers, body };
  }

  /** Reads what comes until the peer closes or resets the connection. */
  async untilClosed(): Promise<string> {
    while (await this.#more());
    return this.#take(this.#text.length);
  }

  /** Reads until at least `length` characters are there; they stay to be read. */
  async received(length: number): Promise<string> {
    while (this.#text.length < length) {
      if (!await this.#more()) throw new ConnectionCut(this.#text);
    }
    return this.#text;
  }

  /** Reads so many characters and takes them. */
  async take(length: number): Promise<string> {
    await this.received(length);
    return this.#take(length);
  }

  /** Ends the sending side; the answer may still come. */
  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  async #body(status: number, headers: ReadonlyMap<string, string>): Promise<string> {
    if (status === 204 || status === 304 || status < 200) return "";
    if (headers.get("transfer-encoding") === "chunked") return await this.#chunked();
    const length = headers.get("content-length");
    if (length === undefined) return await this.untilClosed();
    await this.received(Number(length));
    return this.#take(Number(length));
  }

  async #chunked(): Promise<string> {
    let body = "";
    for (;;) {
      const size = parseInt(await this.#through("\r\n"), 16);
      await this.received(size + 2);
      body += this.#take(size);
      this.#take(2);
      if (size === 0) return body;
    }
  }

  async #through(end: string): Promise<string> {
    for (;;) {
      const at = this.#text.indexOf(end);
      if (at !== -1) return this.#take(at + end.length);
      if (!await this.#more()) throw new ConnectionCut(this.#text);
    }
  }

  #take(length: number): string {
    const taken = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return taken;
  }

  /** False at the end of the connection. */
  async #more(): Promise<boolean> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.close();
    }, READ_BOUND);
    try {
      const n = await this.#conn.read(this.#chunk);
      if (n === null) return false;
      this.#text += decoder.decode(this.#chunk.subarray(0, n));
      return true;
    } catch (error) {
      if (late) throw new Error(`nothing came for ${READ_BOUND} ms`, { cause: error });
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}

export interface GetOptions {
  host: string;
  path?: string;
  headers?: Readonly<Record<string, string>>;
}

/** One GET on a connection of its own. */
export async function get(target: Target, options: GetOptions): Promise<RawResponse> {
  const { host, path = "/", headers = {} } = options;
  const connection = await RawConnection.open(target);
  try {
    await connection.get(path, host, { ...headers, connection: "close" });
    return await connection.response();
  } finally {
    connection.close();
  }
}
