/**
 * Writes statuses to the API server: one patch per object with everything that changed, nothing
 * when nothing did, a bounded number at a time. Every patch names the version that it was made of,
 * so that what others wrote meanwhile is never lost: the server refuses it and it is made anew.
 */
import { backoff } from "../../shared/lib/backoff.ts";
import type { Clock } from "../../shared/lib/clock.ts";
import { errorMessage, type Logger } from "../../shared/lib/log.ts";
import { type KubeApi, KubeApiError, MERGE_PATCH } from "../source/kubernetes/api.ts";
import { olderVersion, parseRawObject } from "../source/kubernetes/raw_object.ts";
import { objectPath } from "../source/kubernetes/resource.ts";
import type { StoredObject } from "../source/kubernetes/stored.ts";
import { asRecord } from "../source/decode/decoder.ts";
import type { DesiredStatus } from "./desired.ts";
import { mergeStatus, sameJson, type StoredStatus, withoutOwn } from "./merge.ts";
import type { StatusSink } from "./sink.ts";

export interface StatusWriterOptions {
  api: Pick<KubeApi, "request">;
  controllerName: string;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Names us in managedFields. */
  fieldManager: string;
  hooks: {
    onWritten: (key: string) => void;
    /** Somebody else had written meanwhile. */
    onConflict: () => void;
    onError: () => void;
    /** What an object says now and said before. */
    onChange?: (object: StoredObject, before: StoredStatus | undefined) => void;
  };
}

interface Failure {
  /** In a row. */
  count: number;
  /** Ends the wait for the next try; undefined when there is none. */
  wait: AbortController | undefined;
}

/** Patches in flight at once. */
const CONCURRENCY = 8;
/** Conflicts in a row that are made anew at once; an object that others write all the time waits. */
const QUICK_CONFLICTS = 2;

export class StatusWriter implements StatusSink {
  readonly #options: StatusWriterOptions;
  readonly #desired = new Map<string, DesiredStatus>();
  readonly #stored = new Map<string, StoredObject>();
  /** Keys to look at, oldest first; each at most once. */
  readonly #due = new Set<string>();
  readonly #busy = new Set<string>();
  /** By key. */
  readonly #failures = new Map<string, Failure>();
  /** In a row, by key. */
  readonly #conflicts = new Map<string, number>();
  readonly #closing = new AbortController();
  /** Every status was wanted once: until then nothing is known to be not ours. */
  #complete = false;
  #idle: (() => void)[] = [];

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** What the source saw; undefined = the object is gone. */
  onStored(key: string, object: StoredObject | undefined): void {
    const known = this.#stored.get(key);
    if (object === undefined) {
      this.#stored.delete(key);
      this.#due.delete(key);
      this.#forgive(key);
      return;
    }
    // The answer to a patch comes before the watch tells of it.
    if (known?.uid === object.uid && olderVersion(object.resourceVersion, known.resourceVersion)) {
      return;
    }
    this.#put(key, object);
  }

  #put(key: string, object: StoredObject): void {
    this.#stored.set(key, object);
    if (this.#complete) this.#enqueue(key);
  }

  want(key: string, desired: DesiredStatus | undefined): void {
    if (desired === undefined) this.#desired.delete(key);
    else this.#desired.set(key, desired);
    this.#forgive(key);
    this.#enqueue(key);
  }

  complete(): void {
    if (this.#complete) return;
    this.#complete = true;
    for (const key of this.#stored.keys()) this.#enqueue(key);
  }

  statuses(): Record<string, StoredStatus> {
    const entries: [string, StoredStatus][] = [];
    for (const key of this.#desired.keys()) {
      const status = this.#stored.get(key)?.status;
      if (status !== undefined) entries.push([key, status]);
    }
    return Object.fromEntries(entries);
  }

  /** Resolves when nothing is to be written any more. */
  idle(): Promise<void> {
    if (this.#due.size === 0 && this.#busy.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    this.#closing.abort();
    for (const { wait } of this.#failures.values()) wait?.abort();
    this.#failures.clear();
    this.#due.clear();
  }

  #enqueue(key: string): void {
    if (this.#closing.signal.aborted || this.#failures.get(key)?.wait !== undefined) return;
    this.#due.add(key);
    this.#pump();
  }

  #pump(): void {
    for (const key of this.#due) {
      if (this.#busy.size >= CONCURRENCY) return;
      if (this.#busy.has(key)) continue;
      this.#due.delete(key);
      const patch = this.#patchOf(key);
      if (patch === undefined) continue;
      this.#busy.add(key);
      void this.#write(key, patch).finally(() => {
        this.#busy.delete(key);
        this.#pump();
      });
    }
    if (this.#due.size > 0 || this.#busy.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** What to write of an object; undefined = nothing. */
  #patchOf(key: string): { object: StoredObject; after: StoredStatus } | undefined {
    const object = this.#stored.get(key);
    if (object === undefined) return undefined;
    const { controllerName, clock } = this.#options;
    const desired = this.#desired.get(key);
    if (desired === undefined && !this.#complete) return undefined;
    const after = desired === undefined
      ? withoutOwn(object.status, controllerName)
      : mergeStatus(object.status, desired, { now: clock.now(), controllerName });
    return after === undefined || after === object.status ? undefined : { object, after };
  }

  async #write(
    key: string,
    { object, after }: { object: StoredObject; after: StoredStatus },
  ): Promise<void> {
    const { hooks, api, fieldManager } = this.#options;
    try {
      const answer = await api.request({
        method: "PATCH",
        path: `${objectPath(object)}/status`,
        query: [["fieldManager", fieldManager]],
        contentType: MERGE_PATCH,
        body: {
          metadata: { resourceVersion: object.resourceVersion, uid: object.uid },
          status: changedMembers(object.status, after),
        },
        signal: this.#closing.signal,
      });
      this.#took(object, answer);
      this.#failures.delete(key);
      this.#conflicts.delete(key);
      hooks.onWritten(key);
      hooks.onChange?.({ ...object, status: after }, object.status);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      await this.#refused(object, error);
    }
  }

  /** The answer is the object as it is now. */
  #took(object: StoredObject, answer: unknown): void {
    const known = this.#stored.get(object.key);
    const now = answered(object, answer);
    // It went while we wrote, and the watch told first.
    if (known === undefined) return;
    // The watch was ahead of this answer.
    if (known.uid === now.uid && olderVersion(now.resourceVersion, known.resourceVersion)) return;
    this.#put(object.key, now);
  }

  async #refused(object: StoredObject, error: unknown): Promise<void> {
    const { hooks, api, log } = this.#options;
    const { key } = object;
    const status = error instanceof KubeApiError ? error.status : 0;
    // It went while we wrote, and the watch will tell; or its kind is just not served.
    if (status === 404) return this.#later(key, error);
    if (status === 409) {
      hooks.onConflict();
      const conflicts = (this.#conflicts.get(key) ?? 0) + 1;
      try {
        const { signal } = this.#closing;
        const answer = await api.request({ method: "GET", path: objectPath(object), signal });
        if (!this.#stored.has(key)) return;
        this.#conflicts.set(key, conflicts);
        // Whatever was known was refused: this counts, even with a version that looks older, as
        // after a restore of the server's storage.
        this.#stored.set(key, answered(object, answer));
        if (conflicts > QUICK_CONFLICTS) return this.#later(key, error);
        this.#enqueue(key);
        return;
      } catch (again) {
        return this.#later(key, again);
      }
    }
    hooks.onError();
    log.warn("status_not_written", { object: key, error: errorMessage(error) });
    this.#later(key, error);
  }

  /** Tries again after a wait, or when something else is wanted. */
  #later(key: string, error: unknown): void {
    if (this.#closing.signal.aborted || !this.#stored.has(key)) return;
    const { random, clock } = this.#options;
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const asked = error instanceof KubeApiError ? error.retryAfter ?? 0 : 0;
    const milliseconds = Math.max(
      backoff(count - 1, { initial: 200, max: 30_000, random }),
      Math.min(asked, 30_000),
    );
    const wait = new AbortController();
    this.#failures.set(key, { count, wait });
    clock.delay(milliseconds, wait.signal).then(() => {
      // The count stays for the next wait, should this one fail as well.
      this.#failures.set(key, { count, wait: undefined });
      this.#enqueue(key);
    }, () => {});
  }

  #forgive(key: string): void {
    this.#failures.get(key)?.wait?.abort();
    this.#failures.delete(key);
    this.#conflicts.delete(key);
  }
}

/** The object as an answer tells it. */
function answered(object: StoredObject, answer: unknown): StoredObject {
  const { uid, resourceVersion, body } = parseRawObject(answer);
  const status = asRecord(body.status);
  return {
    ...withoutStatus(object),
    uid,
    resourceVersion,
    ...(status === undefined ? {} : { status: status as StoredStatus }),
  };
}

function withoutStatus({ status: _status, ...object }: StoredObject): StoredObject {
  return object;
}

function changedMembers(
  before: StoredStatus | undefined,
  after: StoredStatus,
): Record<string, unknown> {
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]);
  const members: Record<string, unknown> = {};
  for (const name of names) {
    // A merge patch removes what is null (RFC 7396).
    if (!sameJson(before?.[name], after[name])) members[name] = after[name] ?? null;
  }
  return members;
}
