/** Where statuses go. */
import type { DesiredStatus } from "./desired.ts";
import { type MergeOptions, mergeStatus, type StoredStatus } from "./merge.ts";

export interface StatusSink {
  /** What the status of an object should be; undefined = nothing of it is ours (any more). */
  want(key: string, desired: DesiredStatus | undefined): void;
  /** Everything was wanted once: what was not is not ours. Called after every round. */
  complete(): void;
  /** Statuses as they are now, by object key. */
  statuses(): Record<string, StoredStatus>;
}

export interface MemoryStatusesOptions {
  context: () => MergeOptions;
  /** A status is different now. */
  onUpdate: (key: string) => void;
}

/** Keeps statuses for whoever asks: manifests in files have no place for them. */
export class MemoryStatuses implements StatusSink {
  readonly #options: MemoryStatusesOptions;
  readonly #statuses = new Map<string, StoredStatus>();

  constructor(options: MemoryStatusesOptions) {
    this.#options = options;
  }

  want(key: string, desired: DesiredStatus | undefined): void {
    if (desired === undefined) {
      this.#statuses.delete(key);
      return;
    }
    const before = this.#statuses.get(key);
    const after = mergeStatus(before, desired, this.#options.context());
    if (after === before) return;
    this.#statuses.set(key, after);
    this.#options.onUpdate(key);
  }

  complete(): void {}

  statuses(): Record<string, StoredStatus> {
    return Object.fromEntries(this.#statuses);
  }
}
