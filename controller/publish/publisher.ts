/**
 * Makes the bus say what the compiler wants: the first change goes out at once, later ones wait
 * only for the publish that is in flight and are then written as one.
 */
import { BusError } from "../../shared/bus/transport.ts";
import { backoff } from "../../shared/lib/backoff.ts";
import { type Clock, systemClock } from "../../shared/lib/clock.ts";
import { errorMessage, type Logger, silentLogger } from "../../shared/lib/log.ts";
import type { PublisherOptions } from "./options.ts";
import { DeposedError, PublishSession } from "./publish_session.ts";
import type { PublishResult } from "./result.ts";
import type { Desired } from "./types.ts";

const MAINTAIN_INTERVAL = 5000;

interface Waiter {
  resolve(result: PublishResult): void;
}

/** One controller's publisher; runs from construction until closed or deposed. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #session: PublishSession;
  readonly #closing = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #removeListener: () => void;
  readonly #deposed = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #desired: Desired | undefined;
  #cause: string | undefined;
  #waiters: Waiter[] = [];
  #maintain = true;
  #wake: (() => void) | undefined;
  #isDeposed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#session = new PublishSession({
      ...options,
      clock: this.#clock,
      log: this.#log,
      signal: this.#closing.signal,
    });
    this.#timer = setInterval(() => this.maintain(), MAINTAIN_INTERVAL);
    this.#removeListener = options.bus.onConnected(() => this.maintain());
    this.#running = this.#run();
  }

  /** Resolves when another controller has taken over. */
  get deposed(): Promise<void> {
    return this.#deposed.promise;
  }

  /** Lineage in force, once leading: kept by the caller for the case that the stream is lost. */
  get lineage(): string | undefined {
    return this.#session.lineage;
  }

  /**
   * Makes `desired` true on the bus. While the bus is away it waits and tries again; a newer call
   * replaces what is wanted, and both callers get the result of the publish that covered theirs.
   * @param cause why, when it is not a change of objects; stands in the version's meta.
   */
  publish(desired: Desired, cause?: string): Promise<PublishResult> {
    if (this.#closing.signal.aborted) return Promise.resolve({ kind: "closed" });
    if (this.#isDeposed) return Promise.resolve({ kind: "deposed" });
    this.#desired = desired;
    this.#cause = cause;
    const { promise, resolve } = Promise.withResolvers<PublishResult>();
    this.#waiters.push({ resolve });
    this.#wake?.();
    return promise;
  }

  /** Checks streams, refills, removes and purges now; runs by itself every few seconds. */
  maintain(): void {
    this.#maintain = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted && !this.#isDeposed;) {
      if (this.#waiters.length === 0 && !this.#maintain) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = undefined;
        continue;
      }
      try {
        await this.#step();
        failures = 0;
      } catch (error) {
        if (error instanceof DeposedError) return this.#depose();
        // An outage is told once, by the connection; anything else is told here.
        if (
          error instanceof BusError && error.kind === "unavailable" && !this.#options.bus.connected
        ) {
          this.#log.debug("publish_waits", { error: errorMessage(error) });
        } else {
          this.#options.hooks?.onError?.(error);
          this.#log.warn("publish_failed", { error: errorMessage(error) });
        }
        this.#maintain = true;
        const wait = backoff(failures++, { initial: 20, max: 2000 });
        await this.#clock.delay(wait, signal).catch(() => {});
      }
    }
  }

  async #step(): Promise<void> {
    if (!this.#session.leading || this.#maintain) {
      this.#maintain = false;
      const refill = await this.#session.ensure();
      if (refill && this.#desired !== undefined && this.#waiters.length === 0) {
        await this.#session.publish(this.#desired);
      }
    }
    if (this.#waiters.length > 0 && this.#desired !== undefined) {
      const waiters = this.#waiters;
      this.#waiters = [];
      try {
        const result = await this.#session.publish(this.#desired, this.#cause);
        for (const waiter of waiters) waiter.resolve(result);
      } catch (error) {
        this.#waiters = [...waiters, ...this.#waiters];
        throw error;
      }
    }
    if (this.#waiters.length === 0) await this.#session.tidy(this.#desired);
  }

  #depose(): void {
    this.#log.warn("deposed", { holder: this.#options.holder });
    this.#isDeposed = true;
    this.#settle({ kind: "deposed" });
    this.#deposed.resolve();
  }

  #settle(result: PublishResult): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve(result);
  }

  /** Stops; what was not published stays unpublished. The bus stays open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#removeListener();
    this.#closing.abort();
    this.#wake?.();
    await this.#running;
    this.#settle({ kind: "closed" });
  }
}
