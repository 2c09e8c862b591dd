/** What the proxies of a fleet serve, as their heartbeats say. */
import { type BindFailure, type Heartbeat, parseHeartbeat } from "../../shared/bus/heartbeat.ts";
import { fleetFilter, proxyOfSubject } from "../../shared/bus/subjects.ts";
import type { BusMessage, BusReader, Consumption } from "../../shared/bus/transport.ts";
import { type Clock, systemClock } from "../../shared/lib/clock.ts";
import type { RefusalReason } from "../../shared/snapshot/refusal.ts";

/** A proxy that was not heard of for this long is gone, ms: two heartbeats and a little. */
const DEFAULT_EXPIRY = 12_000;
/** Proxies remembered; more are ignored and counted. */
const MAX_PROXIES = 10_000;

/** Refusals of a message, not of what it says. */
const MENDABLE: ReadonlySet<string> = new Set(
  ["signature", "envelope", "chunk", "version", "base", "digest"] satisfies RefusalReason[],
);

export interface AcksOptions {
  bus: BusReader;
  fleet: string;
  clock?: Clock;
  expiry?: number;
  /** Something that {@linkcode Acks} answers has changed. */
  onChange?(): void;
  /** A heartbeat was malformed or one too many. */
  onIgnored?(subject: string, error: unknown): void;
}

/** How far a version has come. */
export interface Acknowledgement {
  /** Ready proxies. */
  ready: number;
  /** Of those, how many serve the version or a later one. */
  acknowledged: number;
  /** Of those, how many swapped before all data was there. */
  degraded: number;
}

interface Entry {
  heartbeat: Heartbeat;
  /** Monotonic ms. */
  heard: number;
}

export class Acks {
  readonly #options: AcksOptions;
  readonly #clock: Clock;
  readonly #expiry: number;
  readonly #proxies = new Map<string, Entry>();
  readonly #consumption: Consumption;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #listeners = new Set<() => void>();

  constructor(options: AcksOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#expiry = options.expiry ?? DEFAULT_EXPIRY;
    this.#consumption = options.bus.consume({
      stream: "LGW_FLEET",
      filter: fleetFilter(options.fleet),
      start: () => ({ from: "last_per_subject" }),
      onMessage: (message) => this.#take(message),
    });
    this.#timer = setInterval(() => this.#expire(), 1000);
  }

  /** Calls `listener` after each change until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(message: BusMessage): void {
    const { fleet, onIgnored } = this.#options;
    try {
      const heartbeat = parseHeartbeat(message.signed.body);
      const proxy = proxyOfSubject(message.subject, fleet);
      // The bus lets a proxy write its fleet's subjects only: the subject is what counts.
      if (proxy !== heartbeat.proxy || heartbeat.fleet !== fleet) {
        throw new Error(`heartbeat of ${heartbeat.fleet}/${heartbeat.proxy}`);
      }
      if (heartbeat.stopping) {
        this.#proxies.delete(proxy);
      } else if (this.#proxies.has(proxy) || this.#proxies.size < MAX_PROXIES) {
        const late = Math.max(0, this.#clock.now() - message.time);
        const heard = this.#clock.monotonic() - Math.min(late, this.#expiry);
        this.#proxies.set(proxy, { heartbeat, heard });
      } else throw new Error(`more than ${MAX_PROXIES} proxies`);
    } catch (error) {
      return onIgnored?.(message.subject, error);
    }
    this.#changed();
  }

  #expire(): void {
    const now = this.#clock.monotonic();
    let gone = false;
    for (const [proxy, { heard }] of this.#proxies) {
      if (now - heard < this.#expiry) continue;
      this.#proxies.delete(proxy);
      gone = true;
    }
    if (gone) this.#changed();
  }

  #changed(): void {
    this.#options.onChange?.();
    for (const listener of this.#listeners) listener();
  }

  /** Live proxies by name, with their last heartbeat. */
  proxies(): ReadonlyMap<string, Heartbeat> {
    return new Map(
      [...this.#proxies].sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([proxy, { heartbeat }]) => [proxy, heartbeat]),
    );
  }

  /** How many ready proxies serve `version` of a scope of `lineage`, or a later one. */
  of(scope: string, at: { lineage: string; version: number }): Acknowledgement {
    const result = { ready: 0, acknowledged: 0, degraded: 0 };
    for (const { heartbeat } of this.#proxies.values()) {
      if (!heartbeat.ready) continue;
      result.ready++;
      const ack = heartbeat.scopes.get(scope);
      if (ack === undefined || ack.lineage !== at.lineage || ack.version < at.version) continue;
      result.acknowledged++;
      if (ack.degraded) result.degraded++;
    }
    return result;
  }

  /** Live proxies: scope → version served. */
  liveVersions(): ReadonlyMap<string, number>[] {
    return [...this.#proxies.values()].map(({ heartbeat }) =>
      new Map([...heartbeat.scopes].map(([scope, { version }]) => [scope, version]))
    );
  }

  /** Scopes in which a live proxy refused what another copy of the content would mend. */
  brokenScopes(): ReadonlySet<string> {
    const scopes = new Set<string>();
    for (const { heartbeat } of this.#proxies.values()) {
      for (const { scope, reason, version = 0 } of heartbeat.refusals) {
        const behind = (heartbeat.scopes.get(scope)?.version ?? 0) < version;
        if (behind && MENDABLE.has(reason)) scopes.add(scope);
      }
    }
    return scopes;
  }

  /** Failed binds by proxy: what the bind map has to move away from. */
  bindFailures(): ReadonlyMap<string, readonly BindFailure[]> {
    const failures = new Map<string, readonly BindFailure[]>();
    for (const [proxy, { heartbeat }] of this.#proxies) {
      if (heartbeat.bindFailures.length > 0) failures.set(proxy, heartbeat.bindFailures);
    }
    return failures;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#consumption.close();
  }
}
