/** A stream as its readers see it, whether it lies in files or in the memory of another process. */
import type { StreamSettings } from "../streams.ts";
import { BusError } from "../transport.ts";
import type { BusMessage, StreamInfo } from "../transport.ts";
import type { Indexed, MessageIndex } from "./message_index.ts";

/** A message without its body. */
export interface StoredEntry {
  readonly sequence: number;
  readonly time: number;
  readonly subject: string;
}

export interface StreamView {
  /** Undefined while there is no such stream. */
  readonly identity: string | undefined;
  info(): StreamInfo;
  last(subject: string): StoredEntry | undefined;
  /** Those of a filter from a sequence on, in order. */
  from(sequence: number, filter: string): readonly StoredEntry[];
  /** Undefined when it is gone by now. */
  read(entry: StoredEntry, pending: number): BusMessage | undefined;
  /** Calls `listener` after each change until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/** What a stream holds now. @throws {BusError} `missing` when there is no such stream */
export function streamInfo(
  identity: string | undefined,
  { settings: { name, max_bytes }, index }: {
    settings: StreamSettings;
    index: MessageIndex<Indexed>;
  },
): StreamInfo {
  if (identity === undefined) throw new BusError("missing", `${name}: there is no such stream`);
  return {
    identity,
    firstSequence: index.firstSequence,
    lastSequence: index.lastSequence,
    messages: index.size,
    bytes: index.bytes,
    maxBytes: max_bytes,
  };
}

/** Listeners of a view. */
export class Changes {
  readonly #listeners = new Set<() => void>();

  readonly onChange = (listener: () => void): () => void => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
