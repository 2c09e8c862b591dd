/**
 * Events about conditions: one in events.k8s.io/v1 whenever a condition of ours says something else
 * than before, for whoever runs `kubectl describe`. Events are a courtesy: statuses say the same, so
 * what cannot be written is counted and forgotten.
 */
import type { Clock } from "../../shared/lib/clock.ts";
import { kindOf } from "../model/objects.ts";
import { type KubeApi, KubeApiError } from "../source/kubernetes/api.ts";
import { collectionPath } from "../source/kubernetes/resource.ts";
import type { StoredObject } from "../source/kubernetes/stored.ts";
import type { Condition } from "./conditions.ts";
import { type StoredStatus, TRANSIENT } from "./merge.ts";

export interface EventWriterOptions {
  api: Pick<KubeApi, "request">;
  /** Whose entries in routes and policies are told about, and who tells. */
  controllerName: string;
  /** The pod. */
  identity: string;
  clock: Clock;
  hooks: {
    onWritten: () => void;
    /** It could not be written. */
    onError: () => void;
    /** The queue was full: an older one went. */
    onDropped: () => void;
  };
}

/** Events that wait; the oldest goes when there are more. */
const QUEUE = 256;
/** Milliseconds between two writes: ten a second. */
const PACE = 100;
/** Milliseconds in which the same is not said again. */
const REPEAT = 10 * 60_000;
/** What was said lately is remembered of so many; more, and the oldest may be said again. */
const REMEMBERED = 4_096;
/** Characters of a note; the API takes 1024 bytes. */
const LONGEST_NOTE = 1_000;

/** Conditions that are good news when they are not true. */
const NEGATIVE: ReadonlySet<string> = new Set(["Conflicted", ...TRANSIENT]);
/** Conditions of which the first word is news even when it is good. */
const MILESTONES: ReadonlySet<string> = new Set(["Accepted", "Programmed"]);

/** A condition that says something else than before. */
export interface ConditionChange {
  /** Where in the status it stands, such as `listener "https"`; empty = the object itself. */
  part: string;
  condition: Condition;
}

/** What of ours says something else in `after`. */
export function conditionChanges(
  before: StoredStatus | undefined,
  after: StoredStatus,
  controllerName: string,
): ConditionChange[] {
  const known = new Map(
    parts(before ?? {}, controllerName).flatMap(({ part, conditions }) =>
      conditions.map(({ type, status }) => [`${part} ${type}`, status] as const)
    ),
  );
  return parts(after, controllerName).flatMap(({ part, conditions, listener = false }) =>
    conditions.filter((condition) => {
      const status = known.get(`${part} ${condition.type}`);
      if (status !== undefined) return status !== condition.status;
      // Of what is new and well one word is enough.
      if (eventType(condition) === "Warning") return true;
      return condition.status === "True" && MILESTONES.has(condition.type) && !listener;
    }).map((condition) => ({ part, condition }))
  );
}

function parts(
  { conditions, listeners, parents, ancestors }: StoredStatus,
  controllerName: string,
): { part: string; conditions: readonly Condition[]; listener?: boolean }[] {
  const ours = <E extends { controllerName: string }>(entries: readonly E[] = []) =>
    entries.filter((entry) => entry.controllerName === controllerName);
  return [
    { part: "", conditions: conditions ?? [] },
    ...(listeners ?? []).map(({ name, conditions: own }) => ({
      part: `listener "${name}"`,
      listener: true,
      conditions: own ?? [],
    })),
    ...ours(parents).map(({ parentRef: { namespace, name, sectionName, port }, ...entry }) => ({
      part: `parent "${joined(namespace, name, sectionName, port)}"`,
      conditions: entry.conditions ?? [],
    })),
    ...ours(ancestors).map(({ ancestorRef: { namespace, name }, ...entry }) => ({
      part: `ancestor "${joined(namespace, name)}"`,
      conditions: entry.conditions ?? [],
    })),
  ];
}

function joined(...names: readonly (string | number | undefined)[]): string {
  return names.filter((name) => name !== undefined).join("/");
}

/** Is it something that somebody should look at? `Unknown` is neither good nor bad yet. */
export function eventType({ type, status }: Pick<Condition, "type" | "status">) {
  const bad = NEGATIVE.has(type) ? status === "True" : status === "False";
  return bad ? "Warning" : "Normal";
}

interface Queued {
  object: StoredObject;
  change: ConditionChange;
}

export class EventWriter {
  readonly #options: EventWriterOptions;
  readonly #queue: Queued[] = [];
  /** What was said → monotonic milliseconds until which it is not said again; oldest first. */
  readonly #said = new Map<string, number>();
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: EventWriterOptions) {
    this.#options = options;
  }

  /** As the hook of the status writer: what an object says now, and said before. */
  onChange(object: StoredObject, before: StoredStatus | undefined): void {
    if (this.#closing.signal.aborted) return;
    const { controllerName, hooks } = this.#options;
    for (const change of conditionChanges(before, object.status ?? {}, controllerName)) {
      if (this.#repeated(object, change)) continue;
      this.#queue.push({ object, change });
      if (this.#queue.length <= QUEUE) continue;
      this.#queue.shift();
      hooks.onDropped();
    }
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  /** What waits is given up. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  #repeated({ uid }: StoredObject, { part, condition }: ConditionChange): boolean {
    const now = this.#options.clock.monotonic();
    const { type, status, reason } = condition;
    const id = JSON.stringify([uid, part, type, status, reason]);
    if ((this.#said.get(id) ?? 0) > now) return true;
    this.#said.delete(id);
    this.#said.set(id, now + REPEAT);
    for (const [oldest, until] of this.#said) {
      if (until > now && this.#said.size <= REMEMBERED) break;
      this.#said.delete(oldest);
    }
    return false;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (
      let next = this.#queue.shift();
      next !== undefined && !signal.aborted;
      next = this.#queue.shift()
    ) {
      await this.#write(next);
      await this.#options.clock.delay(PACE, signal).catch(() => {});
    }
  }

  /** Once. */
  async #write({ object, change }: Queued): Promise<void> {
    const { api, hooks } = this.#options;
    const body = this.#event(object, change);
    try {
      await api.request({
        method: "POST",
        path: collectionPath(EVENTS, body.metadata.namespace),
        body,
        signal: this.#closing.signal,
        timeout: 5_000,
      });
      hooks.onWritten();
    } catch (error) {
      if (!this.#closing.signal.aborted && !withoutNamespace(error)) hooks.onError();
    }
  }

  #event(object: StoredObject, { part, condition }: ConditionChange) {
    const { controllerName, identity, clock } = this.#options;
    const { resource: { group, version }, key, namespace, name, uid, resourceVersion } = object;
    const { type, status, reason, message } = condition;
    const note = `${part === "" ? "" : `${part}: `}${type} is ${status}: ${message}`;
    return {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: {
        // Events of what has no namespace are kept in `default`.
        namespace: namespace === "" ? "default" : namespace,
        generateName: `${name.slice(0, 200)}.`,
      },
      eventTime: new Date(clock.now()).toISOString().replace("Z", "000Z"),
      type: eventType(condition),
      reason: reason.slice(0, 128),
      action: "StatusChanged",
      note: shortened(note),
      regarding: {
        apiVersion: `${group}/${version}`,
        kind: kindOf(key),
        namespace,
        name,
        uid,
        resourceVersion,
      },
      reportingController: controllerName,
      reportingInstance: identity.slice(0, 128),
    };
  }
}

/** A namespace that is gone, or goes, takes no events, and nobody misses them. */
function withoutNamespace(error: unknown): boolean {
  if (!(error instanceof KubeApiError)) return false;
  return error.status === 404 ||
    (error.status === 403 && error.message.includes("being terminated"));
}

const EVENTS = { group: "events.k8s.io", version: "v1", plural: "events" };

/** At most as many bytes as the API takes, whatever the characters. */
function shortened(note: string): string {
  const bytes = new TextEncoder().encode(note);
  if (bytes.length <= LONGEST_NOTE) return note;
  // A character that was cut in two decodes to one replacement, of three bytes.
  return `${new TextDecoder().decode(bytes.subarray(0, LONGEST_NOTE))}…`;
}
