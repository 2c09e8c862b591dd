/** A small HTTP/1.1 client for probing: one connection, one request at a time, nothing hidden. */

export interface ProbeResponse {
  status: number;
  /** Head as received. */
  head: string;
  body: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

/** A keep-alive connection that is opened again when it breaks. */
export class Probe {
  readonly #target: { hostname: string; port: number };
  readonly #buffer = new Uint8Array(128 * 1024);
  #conn: Deno.TcpConn | undefined;

  constructor(hostname: string, port: number) {
    this.#target = { hostname, port };
  }

  /** Sends one GET and reads the whole answer. Rejects when the connection fails. */
  async get(path: string, host: string): Promise<ProbeResponse> {
    if (this.#conn === undefined) {
      this.#conn = await Deno.connect(this.#target);
      this.#conn.setNoDelay(true);
    }
    try {
      await this.#conn.write(encoder.encode(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
      return await this.#read(this.#conn);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#conn?.close();
    this.#conn = undefined;
  }

  async #read(conn: Deno.TcpConn): Promise<ProbeResponse> {
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
  probe: Probe,
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
