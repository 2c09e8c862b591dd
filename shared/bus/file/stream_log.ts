/**
 * One stream in a folder: append-only segments, an index in memory that follows them. Whoever
 * writes holds the transport's lock and has refreshed; readers refresh when the folder changes.
 */
import { errorMessage } from "../../lib/log.ts";
import type { StreamSettings } from "../streams.ts";
import { BusError } from "../transport.ts";
import type { BusMessage, OutMessage, StreamInfo } from "../transport.ts";
import { decodeFrames, messagesFrame, purgeFrame } from "./frames.ts";
import type { Frame, Purge, StoredMessage } from "./frames.ts";
import { MessageIndex } from "./message_index.ts";
import { listSegments, readBytes, readFrom, segment } from "./segments.ts";
import type { Segment } from "./segments.ts";
import { Changes, streamInfo } from "./stream_view.ts";
import type { StoredEntry, StreamView } from "./stream_view.ts";

/** A segment that has grown to this is followed by the next, bytes. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** What a message costs beside its body, bytes: the bound is on what is kept, not on the JSON. */
const OVERHEAD = 64;

interface Place extends StoredEntry {
  readonly headers: Record<string, string>;
  readonly segment: Segment;
  readonly offset: number;
  readonly length: number;
  readonly size: number;
}

interface OpenSegment extends Segment {
  /** Bytes read, or written by us. */
  bytes: number;
  /** Known to be read to its end, or reported. */
  checked: boolean;
}

export class StreamLog implements StreamView {
  readonly #folder: string;
  readonly #settings: StreamSettings;
  readonly #changes = new Changes();
  #index: MessageIndex<Place>;
  /** By first sequence. */
  readonly #segments = new Map<number, OpenSegment>();
  #identity: string | undefined;

  readonly #onDamage: (text: string) => void;

  /** @param options.onDamage told when bytes in the middle of the stream cannot be read */
  constructor(
    folder: string,
    options: { settings: StreamSettings; onDamage: (text: string) => void },
  ) {
    const { settings } = options;
    this.#folder = folder;
    this.#settings = settings;
    this.#onDamage = options.onDamage;
    this.#index = new MessageIndex(settings.max_msgs_per_subject);
  }

  readonly onChange = this.#changes.onChange;

  get identity(): string | undefined {
    return this.#identity;
  }

  get lastSequence(): number {
    return this.#index.lastSequence;
  }

  /** Makes the stream unless it is there. True when it was not. */
  create(): boolean {
    this.refresh();
    if (this.#identity !== undefined) return false;
    Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(`${this.#folder}/identity.new`, crypto.randomUUID(), { mode: 0o600 });
    Deno.renameSync(`${this.#folder}/identity.new`, `${this.#folder}/identity`);
    this.refresh();
    return true;
  }

  /** Reads what others have written since. */
  refresh(): void {
    const identity = readIdentity(this.#folder);
    let changed = identity !== this.#identity;
    if (changed) {
      this.#identity = identity;
      this.#segments.clear();
      this.#index = new MessageIndex(this.#settings.max_msgs_per_subject);
    }
    const present = listSegments(this.#folder);
    const firsts = new Set(present.map(({ first }) => first));
    for (const [first, { bytes }] of this.#segments) {
      // One that was started and not written to has no file yet.
      if (firsts.has(first) || bytes === 0) continue;
      this.#segments.delete(first);
      for (const { sequence, segment } of [...this.#index.values()]) {
        if (segment.first === first) this.#index.remove(sequence);
      }
      changed = true;
    }
    for (const [at, found] of present.entries()) {
      changed = this.#follow(found) || changed;
      // The last one may be in the middle of a write; nobody writes to the others any more.
      if (at < present.length - 1) this.#checkEnd(found);
    }
    if (changed) this.#changes.tell();
  }

  /** Reads the new end of a segment, or all of one that was written again. */
  #follow(found: Segment): boolean {
    let known = this.#segments.get(found.first);
    const rewritten = known !== undefined && known.generation !== found.generation;
    if (known === undefined || rewritten) {
      known = { ...found, bytes: 0, checked: false };
      this.#segments.set(found.first, known);
      this.#index.lastSequence = Math.max(this.#index.lastSequence, found.first - 1);
    }
    const bytes = readFrom(`${this.#folder}/${known.name}`, known.bytes);
    const decoded = decodeFrames(bytes);
    for (const frame of decoded.frames) this.#take(frame, { segment: known, rewritten });
    known.bytes += decoded.bytes;
    return decoded.bytes > 0;
  }

  #checkEnd({ first, name }: Segment): void {
    const known = this.#segments.get(first);
    if (known === undefined || known.checked) return;
    known.checked = true;
    const size = Deno.statSync(`${this.#folder}/${name}`).size;
    if (size > known.bytes) this.#onDamage(`${name}: not readable from byte ${known.bytes} on`);
  }

  #take(
    frame: Frame,
    { segment, rewritten }: { segment: OpenSegment; rewritten: boolean },
  ): void {
    if (frame.kind === "purge") {
      this.#index.purge(frame.purge);
      return;
    }
    for (const { sequence, time, subject, headers, offset, length } of frame.messages) {
      const place: Place = {
        sequence,
        time,
        subject,
        headers,
        segment,
        offset: segment.bytes + offset,
        length,
        size: length + OVERHEAD,
      };
      if (rewritten) this.#index.replace(place);
      else this.#index.add(place);
    }
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
    const place = this.#index.get(sequence);
    if (place === undefined) return undefined;
    const body = this.#body(place);
    if (body === undefined) return undefined;
    const { subject, time, headers } = place;
    return { subject, sequence, time, pending, signed: { headers, body } };
  }

  #body({ segment, offset, length }: Place): Uint8Array | undefined {
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(`${this.#folder}/${segment.name}`);
    } catch (error) {
      // Written again or removed a moment ago: the next refresh knows where it is now.
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    try {
      const bytes = readBytes(file, { offset, length });
      return bytes.length === length ? bytes : undefined;
    } finally {
      file.close();
    }
  }

  /**
   * Appends messages, all or none.
   * @returns the sequence of the last one
   * @throws {BusError} `full`, `missing`, or `unavailable` when the disk does not take them
   */
  append(messages: readonly OutMessage[], time: number): number {
    this.#makeRoom(messages.reduce((sum, { signed }) => sum + signed.body.length + OVERHEAD, 0));
    let sequence = this.#index.lastSequence;
    const stored = messages.map(({ subject, signed }): StoredMessage => ({
      sequence: ++sequence,
      time,
      subject,
      signed,
    }));
    this.#write(messagesFrame(stored));
    return sequence;
  }

  /** Takes messages out. @returns how many went */
  purge(purge: Purge): number {
    const before = this.#index.size;
    this.#write(purgeFrame(purge));
    this.#compact();
    return before - this.#index.size;
  }

  /** Drops what is older than the stream keeps. */
  expire(now: number): void {
    const { max_age } = this.#settings;
    if (max_age === 0) return;
    const oldest = now - max_age / 1_000_000;
    this.#dropOldest((newest) => newest.time < oldest);
  }

  #makeRoom(bytes: number): void {
    const { name, discard, max_bytes } = this.#settings;
    if (this.info().bytes + bytes <= max_bytes) return;
    if (discard === "old") {
      this.#dropOldest(() => this.#index.bytes + bytes > max_bytes);
      if (this.#index.bytes + bytes <= max_bytes) return;
    }
    throw new BusError("full", `${name} is full: ${max_bytes} bytes`);
  }

  /** Removes segments from the oldest on as long as `wanted` says so of their newest message. */
  #dropOldest(wanted: (newest: Place) => boolean): void {
    const segments = [...this.#segments.values()];
    for (const [at, { first, name }] of segments.slice(0, -1).entries()) {
      const next = segments[at + 1]?.first ?? Infinity;
      const newest = this.#index.get(next - 1);
      if (newest !== undefined && !wanted(newest)) return;
      Deno.removeSync(`${this.#folder}/${name}`);
      this.#segments.delete(first);
      for (let sequence = first; sequence < next; sequence++) this.#index.remove(sequence);
    }
  }

  #write(bytes: Uint8Array): void {
    const path = () => `${this.#folder}/${this.#tail().name}`;
    const tail = this.#tail();
    try {
      const file = Deno.openSync(path(), { write: true, create: true, mode: 0o600 });
      try {
        // What a writer that was killed left behind is not a frame: it is written over.
        file.truncateSync(tail.bytes);
        file.seekSync(tail.bytes, Deno.SeekMode.Start);
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      } catch (error) {
        file.truncateSync(tail.bytes);
        throw error;
      } finally {
        file.close();
      }
    } catch (error) {
      const { name } = this.#settings;
      throw new BusError("unavailable", `${name}: ${errorMessage(error)}`, { cause: error });
    }
    this.#follow(tail);
    this.#changes.tell();
    if (tail.bytes < SEGMENT_BYTES) return;
    this.#startSegment();
    this.#compact();
  }

  /** The segment that grows. */
  #tail(): OpenSegment {
    return [...this.#segments.values()].at(-1) ?? this.#startSegment();
  }

  #startSegment(): OpenSegment {
    const next = {
      ...segment(this.#index.lastSequence + 1, 0),
      bytes: 0,
      checked: false,
    };
    this.#segments.set(next.first, next);
    return next;
  }

  /** Writes segments again of which less than half is left. */
  #compact(): void {
    const segments = [...this.#segments.values()];
    for (const [at, old] of segments.slice(0, -1).entries()) {
      const end = segments[at + 1]?.first ?? Infinity;
      const left = this.#index.from(old.first, ">").filter(({ sequence }) => sequence < end);
      const bytes = left.reduce((sum, { size }) => sum + size, 0);
      if (bytes * 2 > old.bytes) continue;
      const messages = left.flatMap((place): StoredMessage[] => {
        const body = this.#body(place);
        const { sequence, time, subject, headers } = place;
        return body === undefined ? [] : [{ sequence, time, subject, signed: { headers, body } }];
      });
      const next = segment(old.first, old.generation + 1);
      const path = `${this.#folder}/${next.name}`;
      Deno.writeFileSync(`${path}.new`, messagesFrame(messages), { mode: 0o600 });
      Deno.renameSync(`${path}.new`, path);
      Deno.removeSync(`${this.#folder}/${old.name}`);
      this.#follow(next);
    }
  }
}

function readIdentity(folder: string): string | undefined {
  try {
    return Deno.readTextFileSync(`${folder}/identity`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
