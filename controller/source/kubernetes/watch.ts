/** Keeps a collection up to date: does what `watch_state.ts` says, against a real server. */
import { backoff } from "../../../shared/lib/backoff.ts";
import type { Clock } from "../../../shared/lib/clock.ts";
import { errorMessage } from "../../../shared/lib/log.ts";
import { asRecord } from "../decode/decoder.ts";
import { type KubeApi, KubeApiError } from "./api.ts";
import { readJsonLines } from "./json_lines.ts";
import { parseRawObject, type RawChange, type RawObject } from "./raw_object.ts";
import { collectionPath, type Resource, type Selection, selectionQuery } from "./resource.ts";
import {
  INITIAL,
  type Outcome,
  outcomeOf,
  step,
  type Wait,
  type WatchState,
} from "./watch_state.ts";

/** Told what a collection holds, in order. */
export interface WatchHandler {
  /** All that there is now: what is not in it is gone. */
  listed(objects: RawObject[]): void;
  /** What changed since; one call per piece that came over the network. */
  changed(changes: RawChange[]): void;
  /** A request ended otherwise than by our own wish; `state` is what follows from it. */
  ended(outcome: Outcome, context: { detail: string; state: WatchState }): void;
}

export interface WatchOptions {
  api: Pick<KubeApi, "request" | "open">;
  resource: Resource;
  selection: Selection;
  clock: Clock;
  /** In [0, 1): spreads what many controllers would do at once. */
  random: () => number;
  handler: WatchHandler;
}

/** Seconds that a watch lives: at least, and the spread above. */
const WATCH_LIFE = { least: 300, spread: 300 };
/** Objects of a page. */
const PAGE = 500;
/** Milliseconds without a word after which a connection is taken for dead: bookmarks come every minute. */
const SILENCE = 150_000;
/** Milliseconds after which a watch may end and is taken up again at once. */
const LASTED = 1_000;
/** Milliseconds between looks at what is not there or not allowed. */
const LOOK_AGAIN = 5_000;

export class CollectionWatch {
  readonly #options: WatchOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #state: WatchState = INITIAL;
  #detail = "";

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { handler, clock } = this.#options;
    while (!signal.aborted) {
      const outcome = await this.#request();
      if (signal.aborted) return;
      const wait = this.#step(outcome);
      handler.ended(outcome, { detail: this.#detail, state: this.#state });
      const milliseconds = this.#milliseconds(wait, outcome);
      if (milliseconds > 0) await clock.delay(milliseconds, signal).catch(() => {});
    }
  }

  #step(outcome: Outcome): Wait {
    const { state, wait } = step(this.#state, outcome);
    this.#state = state;
    return wait;
  }

  #milliseconds(wait: Wait, outcome: Outcome): number {
    const { random } = this.#options;
    const asked = outcome.kind === "failed" ? outcome.retryAfter ?? 0 : 0;
    switch (wait) {
      case "none":
        return 0;
      case "soon":
        return 100 + 200 * random();
      case "backoff": {
        const { failures } = this.#state;
        const pause = backoff(Math.max(0, failures - 1), { initial: 100, max: 5_000, random });
        // A server may ask for patience, not for hours.
        return Math.max(pause, Math.min(asked, 30_000));
      }
      case "long":
        return LOOK_AGAIN * (0.8 + 0.4 * random());
    }
  }

  /** Asks for what the state calls for. Never throws. */
  async #request(): Promise<Outcome> {
    this.#detail = "";
    try {
      return this.#state.phase === "page_list" ? await this.#pages() : await this.#stream();
    } catch (error) {
      this.#detail = errorMessage(error);
      if (error instanceof KubeApiError) return outcomeOf(error, this.#state);
      return { kind: "failed", ...(error instanceof Untold ? { lost: true } : {}) };
    }
  }

  async #pages(): Promise<Outcome> {
    const { api, resource, selection } = this.#options;
    const objects: RawObject[] = [];
    let next = "";
    for (;;) {
      const page = await api.request({
        method: "GET",
        path: collectionPath(resource, selection.namespace),
        query: [
          ...selectionQuery(selection),
          ["limit", String(PAGE)],
          ...(next === "" ? [] : [["continue", next] as const]),
        ],
        signal: this.#closing.signal,
        timeout: 60_000,
      });
      if (!Array.isArray(page.items)) throw new Error("a list has no items");
      for (const item of page.items) objects.push(parseRawObject(item));
      const metadata = asRecord(page.metadata) ?? {};
      next = typeof metadata.continue === "string" ? metadata.continue : "";
      if (next !== "") continue;
      const { resourceVersion } = metadata;
      if (typeof resourceVersion !== "string") throw new Error("a list has no resourceVersion");
      this.#options.handler.listed(objects);
      return { kind: "listed", resourceVersion };
    }
  }

  async #stream(): Promise<Outcome> {
    const { api, resource, selection, random, clock } = this.#options;
    const began = clock.monotonic();
    const listing = this.#state.phase === "stream_list";
    const life = Math.round(WATCH_LIFE.least + WATCH_LIFE.spread * random());
    const silence = new Silence(SILENCE);
    const signal = AbortSignal.any([this.#closing.signal, silence.signal]);
    try {
      const response = await api.open({
        method: "GET",
        path: collectionPath(resource, selection.namespace),
        query: [
          ...selectionQuery(selection),
          ["watch", "true"],
          ["allowWatchBookmarks", "true"],
          ["timeoutSeconds", String(life)],
          ["resourceVersion", this.#state.resourceVersion],
          ...(listing
            ? [
              ["sendInitialEvents", "true"] as const,
              ["resourceVersionMatch", "NotOlderThan"] as const,
            ]
            : []),
        ],
        signal,
      });
      if (response.body === null) throw new Error("a watch has no body");
      const refusal = await this.#events(response.body, silence);
      // A server that closes at once, whatever it says before, must not be asked in a circle.
      return refusal ?? { kind: "ended", lively: clock.monotonic() - began >= LASTED };
    } catch (error) {
      if (!silence.signal.aborted) throw error;
      this.#detail = `nothing came for ${SILENCE} ms`;
      return { kind: "ended", lively: true };
    } finally {
      silence.end();
    }
  }

  /** Takes what comes until the answer ends; the server's refusal, if it ends with one. */
  async #events(
    body: ReadableStream<Uint8Array>,
    silence: Silence,
  ): Promise<Outcome | undefined> {
    const initial: RawObject[] = [];
    for await (const values of readJsonLines(body)) {
      silence.heard();
      const changes: RawChange[] = [];
      try {
        for (const value of values) {
          const event = asRecord(value);
          const object = asRecord(event?.object);
          if (event?.type === "ERROR") return this.#refusal(object ?? {});
          if (event?.type === "BOOKMARK") {
            this.#bookmark(object ?? {}, initial);
            continue;
          }
          const raw = parseRawObject(object);
          if (this.#state.phase === "stream_list") {
            initial.push(raw);
            continue;
          }
          changes.push({ kind: event?.type === "DELETED" ? "deleted" : "set", object: raw });
          this.#step({ kind: "seen", resourceVersion: raw.resourceVersion });
        }
      } finally {
        // What came before an error in the same piece counts.
        if (changes.length > 0) this.#tell(changes);
      }
    }
    return undefined;
  }

  #tell(changes: RawChange[]): void {
    try {
      this.#options.handler.changed(changes);
    } catch (error) {
      // It is behind us already: only a list tells it again.
      throw new Untold(errorMessage(error), { cause: error });
    }
  }

  #bookmark(object: Record<string, unknown>, initial: RawObject[]): void {
    const metadata = asRecord(object.metadata) ?? {};
    const { resourceVersion } = metadata;
    if (typeof resourceVersion !== "string" || resourceVersion === "") return;
    const last = asRecord(metadata.annotations)?.["k8s.io/initial-events-end"] === "true";
    if (last && this.#state.phase === "stream_list") {
      this.#options.handler.listed(initial.splice(0));
      this.#step({ kind: "listed", resourceVersion });
    } else this.#step({ kind: "seen", resourceVersion });
  }

  #refusal(status: Record<string, unknown>): Outcome {
    const { code, reason, message } = status;
    this.#detail = typeof message === "string" ? message : "the server ended the watch";
    return outcomeOf({
      status: typeof code === "number" ? code : 0,
      reason: typeof reason === "string" ? reason : "",
    }, this.#state);
  }
}

/** Whoever was told of changes could not take them. */
class Untold extends Error {}

/** Aborts when nothing was heard for a while. */
class Silence {
  readonly #controller = new AbortController();
  readonly #milliseconds: number;
  #timer: ReturnType<typeof setTimeout>;

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#controller.abort(), this.#milliseconds);
  }
}
