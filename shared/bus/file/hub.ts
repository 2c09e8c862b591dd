/**
 * The process that holds the streams which never reach a disk: the controller's, as a rule. Others
 * follow them over a socket in the bus's folder, which only its owner can open.
 */
import type { Clock } from "../../lib/clock.ts";
import { errorMessage } from "../../lib/log.ts";
import type { Logger } from "../../lib/log.ts";
import { ROOT } from "../subjects.ts";
import type { OutMessage } from "../transport.ts";
import { encodeHubMessage, HubDecoder, MEMORY_STREAMS } from "./hub_protocol.ts";
import type { HubMessage, MemoryStreamName } from "./hub_protocol.ts";
import type { MemoryStream } from "./memory_stream.ts";

/** Bytes that may wait for a follower that does not read; beyond, it is cut off and comes back. */
const MAX_WAITING = 64 * 1024 * 1024;
/** Milliseconds between looks for what is too old. */
const EXPIRY_INTERVAL = 5_000;
/** All that a follower may write. */
const HEARTBEATS = `${ROOT}.proxy.`;

export interface HubOptions {
  path: string;
  streams: ReadonlyMap<MemoryStreamName, MemoryStream>;
  clock: Clock;
  log: Logger;
}

export class Hub {
  readonly #options: HubOptions;
  readonly #listener: Deno.UnixListener;
  readonly #followers = new Set<Follower>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #accepting: Promise<void>;
  #closed = false;

  /**
   * Starts it, unless another process is it already: then undefined. Every stream begins a new life.
   */
  static async start(options: HubOptions): Promise<Hub | undefined> {
    try {
      (await Deno.connect({ transport: "unix", path: options.path })).close();
      return undefined;
    } catch {
      // Nobody listens: at most the name of a hub that has ended is there.
      await Deno.remove(options.path).catch(() => {});
    }
    return new Hub(options);
  }

  private constructor(options: HubOptions) {
    this.#options = options;
    this.#listener = Deno.listen({ transport: "unix", path: options.path });
    for (const stream of options.streams.values()) stream.reset(crypto.randomUUID());
    this.#accepting = this.#accept();
    this.#timer = setInterval(() => {
      for (const stream of options.streams.values()) stream.expire(options.clock.now());
    }, EXPIRY_INTERVAL);
  }

  /** Stores a message and tells the followers. @throws {BusError} `full` */
  put(name: MemoryStreamName, { subject, signed }: OutMessage): number {
    const stream = this.#stream(name);
    const sequence = stream.info().lastSequence + 1;
    const message = { sequence, time: this.#options.clock.now(), subject, signed };
    stream.put(message);
    this.#tell({ kind: "message", stream: name, message });
    return sequence;
  }

  purge(name: MemoryStreamName, { filter, before }: { filter: string; before?: number }): number {
    const purge = { filter, before: before ?? Number.MAX_SAFE_INTEGER };
    this.#tell({ kind: "purge", stream: name, purge });
    return this.#stream(name).purge(purge);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#listener.close();
    for (const follower of this.#followers) follower.close();
    await this.#accepting;
    await Promise.all([...this.#followers].map(({ finished }) => finished));
    await Deno.remove(this.#options.path).catch(() => {});
  }

  #stream(name: MemoryStreamName): MemoryStream {
    const stream = this.#options.streams.get(name);
    if (stream === undefined) throw new RangeError(`${name} is not in memory`);
    return stream;
  }

  #tell(message: HubMessage & { stream: MemoryStreamName }): void {
    for (const follower of this.#followers) {
      if (follower.follows.has(message.stream)) follower.send(message);
    }
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      try {
        const connection = await this.#listener.accept();
        const follower: Follower = new Follower(connection, {
          onMessage: (message) => this.#take(follower, message),
          onEnd: () => this.#followers.delete(follower),
        });
        this.#followers.add(follower);
      } catch (error) {
        if (this.#closed) return;
        this.#options.log.warn("hub_accept_failed", { error: errorMessage(error) });
        await this.#options.clock.delay(50);
      }
    }
  }

  #take(follower: Follower, message: HubMessage): void {
    if (message.kind === "send" && message.subject.startsWith(HEARTBEATS)) {
      const { subject, headers, body } = message;
      this.put("LGW_FLEET", { subject, signed: { headers, body } });
      return;
    }
    if (message.kind !== "follow" || !MEMORY_STREAMS.includes(message.stream)) {
      throw new TypeError(`a follower may not say "${message.kind}"`);
    }
    const stream = this.#stream(message.stream);
    follower.follows.add(message.stream);
    follower.send({ kind: "begin", stream: message.stream });
    for (const held of stream.all()) {
      follower.send({ kind: "message", stream: message.stream, message: held });
    }
    follower.send({ kind: "ready", stream: message.stream, identity: stream.info().identity });
  }
}

class Follower {
  readonly follows = new Set<MemoryStreamName>();
  readonly finished: Promise<void>;
  readonly #connection: Deno.UnixConn;
  #waiting = 0;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    connection: Deno.UnixConn,
    handlers: { onMessage(message: HubMessage): void; onEnd(): void },
  ) {
    this.#connection = connection;
    this.finished = this.#read(handlers.onMessage).catch(() => {}).finally(() => {
      this.close();
      handlers.onEnd();
    });
  }

  send(message: HubMessage): void {
    const bytes = encodeHubMessage(message);
    this.#waiting += bytes.length;
    if (this.#waiting > MAX_WAITING) return this.close();
    this.#writing = this.#writing.then(() => this.#write(bytes)).catch(() => this.close());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    this.#waiting -= bytes.length;
  }

  async #read(take: (message: HubMessage) => void): Promise<void> {
    const decoder = new HubDecoder();
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const read = await this.#connection.read(buffer);
      if (read === null) return;
      for (const message of decoder.push(buffer.subarray(0, read))) take(message);
    }
  }
}
