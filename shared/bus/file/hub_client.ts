/** Follows the hub's streams into memory of our own, for ever and again. */
import { backoff } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import type { OutMessage } from "../transport.ts";
import { encodeHubMessage, HubDecoder } from "./hub_protocol.ts";
import type { HubMessage, MemoryStreamName } from "./hub_protocol.ts";
import type { MemoryStream } from "./memory_stream.ts";

/** Bytes. */
const MAX_WAITING = 1024 * 1024;

export interface HubClientOptions {
  path: string;
  streams: ReadonlyMap<MemoryStreamName, MemoryStream>;
  clock: Clock;
  onConnected(): void;
}

export class HubClient {
  readonly #options: HubClientOptions;
  readonly #follows = new Set<MemoryStreamName>();
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #connection: Deno.UnixConn | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Bytes that the socket has not taken yet. */
  #waiting = 0;

  constructor(options: HubClientOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** From now on this stream is mirrored. */
  follow(stream: MemoryStreamName): void {
    if (this.#follows.has(stream)) return;
    this.#follows.add(stream);
    this.#say({ kind: "follow", stream });
  }

  /** Dropped while there is no hub. */
  send({ subject, signed: { headers, body } }: OutMessage): void {
    this.#say({ kind: "send", subject, headers, body });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#connection?.close();
    await this.#running;
    await this.#writing;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { clock } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#session();
        attempt = 0;
      } catch {
        // No hub yet, or it went away: the next try may find one.
      }
      this.#connection = undefined;
      for (const stream of this.#follows) this.#options.streams.get(stream)?.reset(undefined);
      await clock.delay(backoff(attempt, { initial: 20, max: 200 }), signal).catch(() => {});
    }
  }

  async #session(): Promise<void> {
    const connection = await Deno.connect({ transport: "unix", path: this.#options.path });
    if (this.#closing.signal.aborted) return connection.close();
    this.#connection = connection;
    this.#writing = Promise.resolve();
    this.#waiting = 0;
    for (const stream of this.#follows) this.#say({ kind: "follow", stream });
    this.#options.onConnected();
    const decoder = new HubDecoder();
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const read = await connection.read(buffer);
        if (read === null) break;
        for (const message of decoder.push(buffer.subarray(0, read))) this.#take(message);
      }
    } finally {
      if (!this.#closing.signal.aborted) connection.close();
    }
  }

  #take(message: HubMessage): void {
    switch (message.kind) {
      case "begin":
        return this.#options.streams.get(message.stream)?.reset(undefined);
      case "ready":
        return this.#options.streams.get(message.stream)?.reveal(message.identity);
      case "message":
        return this.#options.streams.get(message.stream)?.put(message.message);
      case "purge":
        this.#options.streams.get(message.stream)?.purge(message.purge);
        return;
      case "follow":
      case "send":
        throw new TypeError(`a hub does not say "${message.kind}"`);
    }
  }

  #say(message: HubMessage): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const bytes = encodeHubMessage(message);
    // A hub that does not read: the next heartbeat says the same again.
    if (this.#waiting + bytes.length > MAX_WAITING) return;
    this.#waiting += bytes.length;
    this.#writing = this.#writing.then(async () => {
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
      this.#waiting -= bytes.length;
    }).catch(() => {
      // Reading notices the end and connects again.
    });
  }
}
