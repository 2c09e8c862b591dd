/** For tests: a peer that speaks HTTP/2 frame by frame, so that it can misbehave in every way. */
import type { HeaderList } from "../request/types.ts";
import { FrameReader } from "./frame_reader.ts";
import type { Frame, FrameSink } from "./frame_reader.ts";
import { FieldBlock, HpackDecoder } from "./hpack_decoder.ts";
import { HpackEncoder } from "./hpack_encoder.ts";
import { writeFrameHeader } from "./output.ts";
import * as h2 from "./protocol.ts";

/** A frame as it came; `fields` are those of a whole header block. */
export interface Received {
  type: number;
  flags: number;
  stream: number;
  payload: Uint8Array;
  fields: Record<string, string>;
}

export interface SentFrame {
  type: number;
  flags?: number;
  stream?: number;
  payload?: Uint8Array | readonly number[];
}

/** One frame as bytes. */
export function frame({ type, flags = 0, stream = 0, payload = [] }: SentFrame): Uint8Array {
  const bytes = new Uint8Array(h2.FRAME_HEADER + payload.length);
  writeFrameHeader(bytes, 0, { type, flags, stream, length: payload.length });
  bytes.set(payload, h2.FRAME_HEADER);
  return bytes;
}

/** A 32-bit number as bytes. */
export function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** A SETTINGS frame. */
export function settings(...values: readonly (readonly [number, number])[]): Uint8Array {
  const payload = values.flatMap(([id, value]) => [id >>> 8, id & 255, ...uint32(value)]);
  return frame({ type: h2.SETTINGS, payload });
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export const PREFACE = new TextEncoder().encode(h2.PREFACE);

export const GET: HeaderList = [
  ":method",
  "GET",
  ":scheme",
  "http",
  ":path",
  "/",
  ":authority",
  "a.test",
];
export const POST: HeaderList = GET.with(1, "POST");

/** One connection. Frames that come wait in `received` until they are asked for. */
export class TestPeer implements FrameSink {
  readonly conn: Deno.Conn;
  readonly #reader: FrameReader;
  readonly #decoder = new HpackDecoder(1 << 20);
  readonly #encoder = new HpackEncoder();
  readonly #received: Received[] = [];
  #data: Received | null = null;
  #pieces: Uint8Array[] = [];
  /** The peer closed, or the connection broke. */
  closed = false;

  /** @param preface whether to expect a client's */
  constructor(conn: Deno.Conn, preface = false) {
    this.conn = conn;
    this.#reader = new FrameReader(this, { maxFrameSize: 0xffffff, preface });
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = joined(...parts);
    try {
      for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
    } catch {
      this.closed = true;
    }
  }

  /** A header block for {@linkcode frame}; also one that no message may have. */
  block(list: HeaderList): Uint8Array {
    const bytes = new Uint8Array(64 * 1024);
    this.#encoder.begin(bytes, 0);
    for (let i = 0; i < list.length; i += 2) this.#encoder.field(list[i]!, list[i + 1]!);
    return bytes.slice(0, this.#encoder.at);
  }

  headers(stream: number, list: HeaderList, endStream = true): Uint8Array {
    const flags = h2.END_HEADERS | (endStream ? h2.END_STREAM : 0);
    return frame({ type: h2.HEADERS, flags, stream, payload: this.block(list) });
  }

  data(stream: number, text: string | Uint8Array, endStream = true): Uint8Array {
    const payload = typeof text === "string" ? new TextEncoder().encode(text) : text;
    return frame({ type: h2.DATA, flags: endStream ? h2.END_STREAM : 0, stream, payload });
  }

  /** The next frame that matches, dropping others; null when the peer closed before it. */
  async next(matches: (frame: Received) => boolean = () => true): Promise<Received | null> {
    for (;;) {
      const at = this.#received.findIndex(matches);
      if (at !== -1) return this.#received.splice(0, at + 1).at(-1)!;
      if (!await this.more()) return null;
    }
  }

  /** The next frame of a type. */
  nextOf(type: number): Promise<Received | null> {
    return this.next((received) => received.type === type);
  }

  /** Status and body of the answer on a stream; the status is `reset <code>` when it was reset. */
  async answer(stream: number): Promise<{ status: string; body: string; trailers: string[] }> {
    let status = "";
    let body = "";
    const trailers: string[] = [];
    for (;;) {
      const next = await this.next((received) => received.stream === stream);
      if (next === null) return { status: `${status}closed`, body, trailers };
      if (next.type === h2.RST_STREAM) {
        const code = next.payload[3]!;
        return { status: `${status}reset ${code}`, body, trailers };
      }
      if (next.type === h2.HEADERS) {
        if (":status" in next.fields) status = next.fields[":status"]!;
        else {trailers.push(
            ...Object.entries(next.fields).map(([name, value]) => `${name}=${value}`),
          );}
        if (status === "100") status = "";
      }
      if (next.type === h2.DATA) body += new TextDecoder().decode(next.payload);
      if (
        (next.type === h2.HEADERS || next.type === h2.DATA) && (next.flags & h2.END_STREAM) !== 0
      ) return { status, body, trailers };
    }
  }

  /** Error code of the GOAWAY that ends the connection; -1 when it was closed without. */
  async goaway(): Promise<number> {
    const received = await this.nextOf(h2.GOAWAY);
    return received === null ? -1 : received.payload[7]!;
  }

  /** Reads once; false at the end. */
  async more(): Promise<boolean> {
    const buffer = new Uint8Array(64 * 1024);
    const n = await this.conn.read(buffer).catch(() => null);
    if (n === null) {
      this.closed = true;
      return false;
    }
    this.#reader.push(buffer.subarray(0, n));
    return true;
  }

  /** Resolves when the peer has closed. */
  async gone(): Promise<void> {
    while (await this.more());
  }

  close(): void {
    try {
      this.conn.close();
    } catch {
      // Closed already.
    }
  }

  // ---- FrameSink ----------------------------------------------------------------------------

  frame({ type, flags, stream, bytes, from, end }: Frame): void {
    const payload = bytes.slice(from, end);
    const fields: Record<string, string> = {};
    // Blocks in pieces are not put together here.
    if (type === h2.HEADERS && (flags & h2.END_HEADERS) !== 0) {
      const block = new FieldBlock();
      this.#decoder.decode(payload, block);
      for (const { name, value } of block.fields) fields[name] = value;
    }
    this.#received.push({ type, flags, stream, payload, fields });
  }

  dataStart(stream: number): void {
    this.#data = { type: h2.DATA, flags: 0, stream, payload: new Uint8Array(0), fields: {} };
    this.#pieces = [];
  }

  dataPart(bytes: Uint8Array): void {
    this.#pieces.push(bytes.slice());
  }

  dataEnd(endStream: boolean): void {
    const data = this.#data!;
    data.payload = joined(...this.#pieces);
    data.flags = endStream ? h2.END_STREAM : 0;
    this.#received.push(data);
  }
}
