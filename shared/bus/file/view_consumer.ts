/** An ordered consumer over a view: what is there, then what comes. */
import { backoff } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import type { ConsumeOptions, Consumption, StartAt } from "../transport.ts";
import type { StreamView } from "./stream_view.ts";

export interface ViewConsumerHost {
  view: StreamView;
  clock: Clock;
  /** A try ended with an error and will be repeated. */
  onError(error: unknown): void;
}

/** Starts consuming. */
export function consumeView(host: ViewConsumerHost, options: ConsumeOptions): Consumption {
  return new ViewConsumer(host, options);
}

class ViewConsumer implements Consumption {
  readonly #host: ViewConsumerHost;
  readonly #options: ConsumeOptions;
  readonly #closing = new AbortController();
  readonly #stopWatching: () => void;
  readonly #done: Promise<void>;
  #wake: (() => void) | undefined;
  #changed = true;
  #identity: string | undefined;
  /** Undefined: `start` has to be asked. */
  #next: number | undefined;

  constructor(host: ViewConsumerHost, options: ConsumeOptions) {
    this.#host = host;
    this.#options = options;
    this.#stopWatching = host.view.onChange(() => this.#notice());
    this.#done = this.#run();
  }

  restart(): void {
    this.#next = undefined;
    this.#notice();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#stopWatching();
    this.#notice();
    await this.#done;
  }

  #notice(): void {
    this.#changed = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted;) {
      try {
        await this.#deliver();
        attempt = 0;
        // What changed during the delivery is looked at again at once.
        while (!this.#changed && !signal.aborted) {
          await new Promise<void>((resolve) => this.#wake = resolve);
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#host.onError(error);
        this.#options.onInterrupted?.();
        const wait = backoff(attempt++, { initial: 50, max: 2000 });
        await this.#host.clock.delay(wait, signal).catch(() => {});
      }
    }
  }

  /** Hands over everything that is there and was not handed over yet. */
  async #deliver(): Promise<void> {
    this.#changed = false;
    const { view } = this.#host;
    const { identity } = view;
    if (identity === undefined) return;
    if (this.#identity !== undefined && this.#identity !== identity) {
      this.#next = undefined;
      this.#options.onReplaced?.();
    }
    this.#identity = identity;
    if (this.#next !== undefined) {
      await this.#from({ from: "sequence", sequence: this.#next }, identity);
      return;
    }
    const start = await this.#options.start();
    this.#next = 0;
    if (await this.#from(start, identity)) await this.#options.onCaughtUp?.();
  }

  /** False when something else has to be delivered first. */
  async #from(start: StartAt, identity: string): Promise<boolean> {
    const { view } = this.#host;
    const { filter, onMessage } = this.#options;
    const sequence = start.from === "sequence" ? start.sequence : 0;
    let entries = view.from(sequence, filter);
    if (start.from === "last_per_subject") {
      entries = entries.filter((entry) => view.last(entry.subject)?.sequence === entry.sequence);
    }
    const after = view.info().lastSequence + 1;
    for (const [index, entry] of entries.entries()) {
      const message = view.read(entry, entries.length - index - 1);
      this.#next = entry.sequence + 1;
      if (message !== undefined) await onMessage(message);
      if (this.#closing.signal.aborted || this.#next === undefined) return false;
      if (view.identity !== identity) return false;
    }
    this.#next = Math.max(sequence, after);
    return true;
  }
}
