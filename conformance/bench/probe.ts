/** A small HTTP/1.1 client for probing: one connection, one request at a time, nothing hidden. */

export interface ProbeResponse {
  status: number;
  /** Head as received. */
  head: string;
  body: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

/** TLS on top. */
export interface ProbeTls {
  serverName: string;
  /** PEM that the server's certificate must chain to. */
  authority: string;
}

/** A keep-alive connection that is opened again when it breaks. */
export class Probe {
  readonly #target: { hostname: string; port: number };
  readonly #tls: ProbeTls | undefined;
  readonly #buffer = new Uint8Array(128 * 1024);
  #conn: Deno.Conn | undefined;

  constructor(hostname: string, port: number, options: { tls?: ProbeTls } = {}) {
    this.#target = { hostname, port };
    this.#tls = options.tls;
  }

  /** Sends one GET and reads the whole answer. Rejects when the connection fails. */
  async get(path: string, host: string): Promise<ProbeResponse> {
    const conn = this.#conn ??= await this.#open();
    try {
      await conn.write(encoder.encode(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
      return await this.#read(conn);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#conn?.close();
    this.#conn = undefined;
  }

  async #open(): Promise<Deno.Conn> {
    const conn = await Deno.connect(this.#target);
    conn.setNoDelay(true);
    if (this.#tls === undefined) return conn;
    const { serverName, authority } = this.#tls;
    return await Deno.startTls(conn, { hostname: serverName, caCerts: [authority] });
  }

  async #read(conn: Deno.Conn): Promise<ProbeResponse> {
    let text = "";
    for (;;) {
      const n = await conn.read(this.#buffer);
      if (n === null) throw new Error("the connection closed before the end of the answer");
      text += decoder.decode(this.#buffer.subarray(0, n));
      const end = text.indexOf("\r\n\r\n");
      if (end === -1) continue;
      const head = text.slice(0, end);
      const body = text.slice(end + 4);
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? -1);
      const complete = length === -1 ? body.endsWith("0\r\n\r\n") : body.length >= length;
      if (!complete) continue;
      if (/\r\nconnection: *close/i.test(head)) this.close();
      return { status: Number(head.slice(9, 12)), head, body };
    }
  }
}

/** Sends requests until one is answered with `status`; bounded. */
export async function until(
  probe: Pick<Probe, "get">,
  options: { path: string; host: string; status: number },
): Promise<void> {
  const { path, host, status } = options;
  for (let attempt = 0; attempt < 2000; attempt++) {
    const answer = await probe.get(path, host).catch(() => undefined);
    if (answer?.status === status) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${host}${path} never answered ${status}`);
}
