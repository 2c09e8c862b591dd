/** A small HTTP/2 client for probing: one connection, one request at a time, nothing hidden. */
import { FrameReader } from "../../shared/dataplane/http2/frame_reader.ts";
import type { Frame, FrameSink } from "../../shared/dataplane/http2/frame_reader.ts";
import { FieldBlock, HpackDecoder } from "../../shared/dataplane/http2/hpack_decoder.ts";
import { HpackEncoder } from "../../shared/dataplane/http2/hpack_encoder.ts";
import { writeFrameHeader } from "../../shared/dataplane/http2/output.ts";
import * as h2 from "../../shared/dataplane/http2/protocol.ts";
import type { ProbeResponse, ProbeTls } from "./probe.ts";

const PREFACE = new TextEncoder().encode(h2.PREFACE);
const MAX_HEAD = 64 * 1024;
const decoder = new TextDecoder("latin1");

/** With prior knowledge in plaintext, by ALPN over TLS; opened again when it breaks or drains. */
export class Http2Probe {
  readonly #target: { hostname: string; port: number };
  readonly #tls: ProbeTls | undefined;
  #connection: Connection | undefined;

  constructor(hostname: string, port: number, options: { tls?: ProbeTls } = {}) {
    this.#target = { hostname, port };
    this.#tls = options.tls;
  }

  /** Sends one GET and reads the whole answer. Rejects when the connection or the stream fails. */
  async get(path: string, host: string): Promise<ProbeResponse> {
    const connection = this.#connection ??= await this.#open();
    try {
      const scheme = this.#tls === undefined ? "http" : "https";
      const response = await connection.get({ scheme, path, host });
      if (connection.draining) this.close();
      return response;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #open(): Promise<Connection> {
    const plain = await Deno.connect(this.#target);
    plain.setNoDelay(true);
    if (this.#tls === undefined) return new Connection(plain);
    const { serverName, authority } = this.#tls;
    const conn = await Deno.startTls(plain, {
      hostname: serverName,
      caCerts: [authority],
      alpnProtocols: ["h2"],
    });
    const { alpnProtocol } = await conn.handshake();
    if (alpnProtocol === "h2") return new Connection(conn);
    conn.close();
    throw new Error("the server does not offer HTTP/2");
  }
}

class Connection implements FrameSink {
  /** The server said GOAWAY: no further request goes here. */
  draining = false;
  readonly #conn: Deno.Conn;
  readonly #reader = new FrameReader(this, { maxFrameSize: 1 << 14, preface: false });
  readonly #decoder = new HpackDecoder(MAX_HEAD);
  readonly #encoder = new HpackEncoder();
  readonly #buffer = new Uint8Array(64 * 1024);
  readonly #block = new Uint8Array(4 * 1024);
  /** What the next write takes along: the preface, answers to SETTINGS and PING, windows. */
  #pending: Uint8Array[];
  #stream = -1;
  #current = 0;
  /** Octets of the DATA frame under way, padding included. */
  #octets = 0;
  #status = 0;
  #head = "";
  #body = "";
  #done = false;
  #failure = "";

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    const noPush = [0, h2.ENABLE_PUSH, 0, 0, 0, 0];
    this.#pending = [PREFACE, frame({ type: h2.SETTINGS, payload: noPush })];
  }

  async get(
    { scheme, path, host }: { scheme: string; path: string; host: string },
  ): Promise<ProbeResponse> {
    this.#stream += 2;
    [this.#status, this.#head, this.#body, this.#done] = [0, "", "", false];
    this.#encoder.begin(this.#block, 0);
    const fields = { ":method": "GET", ":scheme": scheme, ":authority": host, ":path": path };
    for (const [name, value] of Object.entries(fields)) this.#encoder.field(name, value);
    this.#pending.push(frame({
      type: h2.HEADERS,
      flags: h2.END_HEADERS | h2.END_STREAM,
      stream: this.#stream,
      payload: this.#block.subarray(0, this.#encoder.at),
    }));
    for (;;) {
      await this.#flush();
      if (this.#done) return { status: this.#status, head: this.#head, body: this.#body };
      const n = await this.#conn.read(this.#buffer);
      if (n === null) throw new Error("the connection closed before the end of the answer");
      this.#reader.push(this.#buffer.slice(0, n));
      if (this.#failure !== "") throw new Error(this.#failure);
    }
  }

  close(): void {
    this.#conn.close();
  }

  async #flush(): Promise<void> {
    const parts = this.#pending;
    if (parts.length === 0) return;
    this.#pending = [];
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  // ---- FrameSink ----------------------------------------------------------------------------

  frame({ type, flags, stream, bytes, from, end }: Frame): void {
    const payload = bytes.slice(from, end);
    const ack = (flags & h2.ACK) !== 0;
    if (type === h2.SETTINGS && !ack) {
      this.#pending.push(frame({ type: h2.SETTINGS, flags: h2.ACK }));
    } else if (type === h2.PING && !ack) {
      this.#pending.push(frame({ type: h2.PING, flags: h2.ACK, payload }));
    } else if (type === h2.GOAWAY) this.#goaway(payload);
    else if (type === h2.RST_STREAM && stream === this.#stream) {
      if (!this.#done) this.#failure = `stream reset with code ${payload[3]}`;
    } else if (type === h2.HEADERS) this.#headers(stream, flags, payload);
  }

  dataStart(stream: number, length: number): void {
    this.#current = stream;
    this.#octets = length;
  }

  dataPart(bytes: Uint8Array): void {
    if (this.#current === this.#stream) this.#body += decoder.decode(bytes);
  }

  dataEnd(endStream: boolean): void {
    if (endStream && this.#current === this.#stream) this.#done = true;
    if (this.#octets === 0) return;
    // The windows stay as they were: one answer at a time, which is read at once.
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, this.#octets);
    for (const stream of endStream ? [0] : [0, this.#current]) {
      this.#pending.push(frame({ type: h2.WINDOW_UPDATE, stream, payload }));
    }
  }

  #headers(stream: number, flags: number, payload: Uint8Array): void {
    if ((flags & h2.END_HEADERS) === 0) {
      this.#failure = "a header block in pieces";
      return;
    }
    const block = new FieldBlock();
    // The decoder's table has to see every block.
    this.#decoder.decode(payload, block);
    if (stream !== this.#stream) return;
    for (const { name, value } of block.fields) {
      if (name === ":status") this.#status = Number(value);
      else this.#head += `\r\n${name}: ${value}`;
    }
    if ((flags & h2.END_STREAM) !== 0) this.#done = true;
  }

  #goaway(payload: Uint8Array): void {
    this.draining = true;
    const last = new DataView(payload.buffer).getUint32(0) & h2.MAX_WINDOW;
    const code = payload[7] ?? 0;
    if (this.#stream > last || code !== 0) {
      this.#failure = `the connection ended with code ${code} after stream ${last}`;
    }
  }
}

function frame(
  { type, flags = 0, stream = 0, payload = [] }: {
    type: number;
    flags?: number;
    stream?: number;
    payload?: Uint8Array | readonly number[];
  },
): Uint8Array {
  const bytes = new Uint8Array(h2.FRAME_HEADER + payload.length);
  writeFrameHeader(bytes, 0, { type, flags, stream, length: payload.length });
  bytes.set(payload, h2.FRAME_HEADER);
  return bytes;
}
