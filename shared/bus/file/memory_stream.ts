/** A stream that never reaches a disk: sealed secrets and heartbeats. Gone with its process. */
import type { StreamSettings } from "../streams.ts";
import { BusError } from "../transport.ts";
import type { BusMessage, StreamInfo } from "../transport.ts";
import type { Purge, StoredMessage } from "./frames.ts";
import { MessageIndex } from "./message_index.ts";
import { Changes, streamInfo } from "./stream_view.ts";
import type { StoredEntry, StreamView } from "./stream_view.ts";

interface Held extends StoredMessage {
  readonly size: number;
}

export class MemoryStream implements StreamView {
  readonly #settings: StreamSettings;
  readonly #changes = new Changes();
  #index: MessageIndex<Held>;
  #identity: string | undefined;

  constructor(settings: StreamSettings) {
    this.#settings = settings;
    this.#index = new MessageIndex(settings.max_msgs_per_subject);
  }

  readonly onChange = this.#changes.onChange;

  get identity(): string | undefined {
    return this.#identity;
  }

  /** Begins a life of the stream, empty; undefined = there is none any more. */
  reset(identity: string | undefined): void {
    this.#identity = identity;
    this.#index = new MessageIndex(this.#settings.max_msgs_per_subject);
    this.#changes.tell();
  }

  /** The stream has this identity; what it holds stays. */
  reveal(identity: string): void {
    this.#identity = identity;
    this.#changes.tell();
  }

  info(): StreamInfo {
    return streamInfo(this.#identity, { settings: this.#settings, index: this.#index });
  }

  last(subject: string): StoredEntry | undefined {
    return this.#index.last(subject);
  }

  from(sequence: number, filter: string): readonly StoredEntry[] {
    return this.#index.from(sequence, filter);
  }

  read({ sequence }: StoredEntry, pending: number): BusMessage | undefined {
    const held = this.#index.get(sequence);
    if (held === undefined) return undefined;
    const { subject, time, signed } = held;
    return { subject, sequence, time, pending, signed };
  }

  all(): StoredMessage[] {
    return [...this.#index.values()];
  }

  /** @throws {BusError} `full` */
  put(message: StoredMessage): void {
    const { name, max_bytes, discard } = this.#settings;
    const size = message.signed.body.length;
    const before = this.#index.last(message.subject)?.size ?? 0;
    if (this.#index.bytes + size - before > max_bytes) {
      if (discard === "new") throw new BusError("full", `${name} is full: ${max_bytes} bytes`);
      this.#index.remove(this.#index.firstSequence);
    }
    this.#index.add({ ...message, size });
    this.#changes.tell();
  }

  /** @returns how many went */
  purge(purge: Purge): number {
    const count = this.#index.purge(purge);
    if (count > 0) this.#changes.tell();
    return count;
  }

  /** Drops what is older than the stream keeps. */
  expire(now: number): void {
    const { max_age } = this.#settings;
    if (max_age === 0) return;
    for (const { sequence, time } of this.all()) {
      if (time < now - max_age / 1_000_000) this.#index.remove(sequence);
    }
  }
}
