/**
 * From the bus to the data plane: the catalogue says which scopes there are, each scope has its
 * follower, last-value data has its store. What is handed over has verified; what is refused
 * leaves everything as it was.
 */
import type { Heartbeat, RefusalReport, ScopeAck } from "../../bus/heartbeat.ts";
import type { BusReader } from "../../bus/transport.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { errorMessage, type Logger, silentLogger } from "../../lib/log.ts";
import { snapshotSubject } from "../../bus/subjects.ts";
import { EPOCH_SUBJECT } from "../../bus/subjects.ts";
import type { FleetPrivateKey } from "../../secrets/fleet_key.ts";
import { fleetScope } from "../../snapshot/ids.ts";
import { KeySet } from "../../snapshot/keys.ts";
import type { RefusalError } from "../../snapshot/refusal.ts";
import type { Resources, ScopeResource } from "../../snapshot/schema.ts";
import { fleetKeyId } from "../../secrets/fleet_key.ts";
import { EpochFollower } from "./epoch_follower.ts";
import { HeartbeatSender } from "./heartbeat_sender.ts";
import type { ApplyHooks } from "./hooks.ts";
import type { LastGood } from "./last_good.ts";
import { replayCopy, type ReplayedScope } from "./replay_copy.ts";
import { ScopeFollower } from "./scope_follower.ts";
import type { ApplyTarget, Swap, VerifiedSnapshot } from "./types.ts";
import { ValueStore } from "./value_store.ts";

export interface ApplyLoopOptions {
  /** Stays open when the loop is closed. */
  bus: BusReader;
  fleet: string;
  /** Name of this proxy in its fleet. */
  proxy: string;
  /** IP address at which other machines reach this proxy. */
  address?: string;
  /** Base64 of raw Ed25519 public keys that are trusted. */
  publicKeys: readonly string[];
  /** Opens sealed secrets. */
  fleetKey?: FleetPrivateKey;
  target: ApplyTarget;
  /** The local copy; without it a restart needs the bus. */
  lastGood?: LastGood;
  /** How long the bus may keep a starting proxy waiting before the local copy serves, ms. */
  lastGoodAfter?: number;
  /** How long a swap waits for the data it needs, ms. Default 1000. */
  needsTimeout?: number;
  /** Features of the schema that the data plane understands. */
  features?: Iterable<string>;
  hooks?: ApplyHooks;
  clock?: Clock;
  log?: Logger;
}

/** What one scope serves, for dumps. */
export interface ServedScope extends ScopeAck {
  scope: string;
  resources: Resources;
}

const MAX_REFUSALS = 32;

export class ApplyLoop {
  readonly #options: ApplyLoopOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #keys: KeySet;
  readonly #features: ReadonlySet<string>;
  readonly #epochs: EpochFollower;
  readonly #values: ValueStore;
  readonly #heartbeats: HeartbeatSender;
  /** From start on: it builds on the local copy. */
  #catalogue: ScopeFollower | undefined;
  readonly #followers = new Map<string, ScopeFollower>();
  readonly #served = new Map<string, Resources>();
  readonly #refusals = new Map<string, RefusalReport>();
  readonly #readyLatch = Promise.withResolvers<void>();
  readonly #closing = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #copy: ReadonlyMap<string, ReplayedScope> = new Map();
  #catalogueEntries: readonly ScopeResource[] | undefined;
  #fleetKeyId = "";
  #ready = false;
  #stopping = false;
  #draining = false;
  #started: Promise<void> = Promise.resolve();
  #ending: Promise<unknown>[] = [];

  constructor(options: ApplyLoopOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#keys = new KeySet(options.publicKeys);
    this.#features = new Set(options.features ?? []);
    const { bus, fleet, proxy, target, lastGood, fleetKey } = options;
    this.#epochs = new EpochFollower({
      bus,
      keys: this.#keys,
      onRefused: (error) => this.#refused(EPOCH_SUBJECT, error),
      onChange: (record, message) => {
        this.#log.info("epoch", { lineage: record.lineage, epoch: record.epoch });
        lastGood?.saveEpoch({ subject: EPOCH_SUBJECT, message });
      },
    });
    this.#values = new ValueStore({
      bus,
      fleet,
      keys: this.#keys,
      epochs: this.#epochs,
      target,
      clock: this.#clock,
      ...(fleetKey === undefined ? {} : { fleetKey }),
      onRefused: (subject, error) => this.#refused(subject, error),
      onTaken: (subject, kind, message) => {
        this.#refusals.delete(subject);
        options.hooks?.onValue?.(kind);
        if (message !== undefined) lastGood?.saveValue({ subject, message });
        this.#changed();
      },
    });
    const report = () => this.heartbeat();
    this.#heartbeats = new HeartbeatSender({ bus, fleet, proxy, clock: this.#clock, report });
    // Sockets may come to be bound by a retry that nobody announces.
    this.#timer = setInterval(() => this.#checkReady(), 250);
  }

  /** Starts reading. Never fails because the bus is away. */
  start(): void {
    this.#started = this.#start();
  }

  async #start(): Promise<void> {
    const { lastGood, lastGoodAfter = 1000, fleetKey } = this.#options;
    if (fleetKey !== undefined) this.#fleetKeyId = await fleetKeyId(fleetKey);
    const loaded = await lastGood?.load();
    if (loaded !== undefined) {
      this.#copy = replayCopy(loaded, {
        keys: this.#keys,
        features: this.#features,
        epochs: this.#epochs,
        onRefused: (scope, error) => this.#refused(scope, error),
      });
    }
    if (this.#closing.signal.aborted) return;
    this.#epochs.start();
    this.#values.start();
    this.#catalogue = this.#follower(fleetScope(this.#options.fleet));
    this.#catalogue.start();
    if (loaded === undefined || this.#copy.size === 0) return;
    await this.#clock.delay(lastGoodAfter, this.#closing.signal).catch(() => {});
    if (this.#closing.signal.aborted || this.#catalogueEntries !== undefined) return;
    this.#log.warn("starting_from_last_good", { scopes: this.#copy.size });
    for (const { subject, message } of loaded.values) await this.#values.offer(subject, message);
    await this.#catalogue?.serveCopy();
    for (const follower of this.#followers.values()) await follower.serveCopy();
  }

  /** True once everything that the catalogue names was served; stays true. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Resolves when {@linkcode ApplyLoop.ready} turns true. */
  whenReady(): Promise<void> {
    return this.#readyLatch.promise;
  }

  /** Served scopes, sorted: for dumps. */
  served(): ServedScope[] {
    return [...this.#served].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([scope, resources]) => {
      const ack = this.#followers.get(scope)?.ack;
      return ack === undefined ? [] : [{ scope, resources, ...ack }];
    });
  }

  /** What the next heartbeat says. */
  heartbeat(): Heartbeat {
    const { fleet, proxy, target } = this.#options;
    const scopes = new Map<string, ScopeAck>();
    const add = (scope: string, ack: ScopeAck | undefined) => {
      if (ack !== undefined) scopes.set(scope, ack);
    };
    add(fleetScope(fleet), this.#catalogue?.ack);
    for (const [scope, follower] of this.#followers) add(scope, follower.ack);
    return {
      fleet,
      proxy,
      ready: this.#ready && !this.#draining,
      stopping: this.#stopping,
      time: this.#clock.now(),
      scopes,
      refusals: [...this.#refusals.values()],
      bindFailures: target.bindFailures(),
      address: this.#options.address ?? "",
      bound: target.boundPorts(),
      draining: this.#draining,
      keyIds: this.#keys.ids,
      fleetKeyId: this.#fleetKeyId,
      features: [...this.#features].sort(),
    };
  }

  #follower(scope: string): ScopeFollower {
    const { bus, lastGood, needsTimeout = 1000, hooks } = this.#options;
    const catalogue = scope === fleetScope(this.#options.fleet);
    const copy = this.#copy.get(scope);
    return new ScopeFollower({
      bus,
      scope,
      keys: this.#keys,
      epochs: this.#epochs,
      features: this.#features,
      clock: this.#clock,
      ...(copy === undefined ? {} : { copy }),
      prepare: (snapshot) =>
        catalogue ? () => this.#swapCatalogue(snapshot) : this.#prepareScope(snapshot),
      waitFor: (needs) => this.#values.waitFor(needs, needsTimeout),
      onSwap: ({ snapshot, degraded, milliseconds, time }) => {
        const { version, digest } = snapshot;
        this.#refusals.delete(scope);
        const age = time === 0 ? 0 : this.#clock.now() - time;
        hooks?.onSwap?.({ scope, version, digest, degraded, milliseconds, age });
        this.#tellHeld();
        this.#log.info("swap", { scope, version, digest, degraded });
        this.#changed();
      },
      onRefused: (error, version) => this.#refused(scope, error, version),
      onVerified: (message, type) =>
        lastGood?.saveSnapshot(scope, { subject: snapshotSubject(scope, type), message }, type),
    });
  }

  async #prepareScope(snapshot: VerifiedSnapshot): Promise<Swap> {
    const { scope, resources, changed } = snapshot;
    const before = this.#served.get(scope);
    const swap = await this.#options.target.prepare(snapshot);
    this.#values.retain(resources, changed);
    return async () => {
      if (this.#closing.signal.aborted) return;
      await swap();
      this.#served.set(scope, resources);
      if (before !== undefined) this.#values.release(before, changed);
    };
  }

  #swapCatalogue(snapshot: VerifiedSnapshot): void {
    const entries = [...snapshot.resources.values()].filter((entry) => entry.kind === "scope");
    this.#catalogueEntries = entries;
    const live = new Set<string>();
    for (const entry of entries) if (!entry.tombstone) live.add(entry.scope);
    for (const [scope, follower] of this.#followers) {
      if (live.has(scope)) continue;
      this.#followers.delete(scope);
      this.#ending.push(this.#removeScope(scope, follower));
    }
    for (const scope of live) {
      if (this.#followers.has(scope)) continue;
      const follower = this.#follower(scope);
      this.#followers.set(scope, follower);
      follower.start();
    }
  }

  async #removeScope(scope: string, follower: ScopeFollower): Promise<void> {
    await follower.close();
    // The scope may have come back while its last message was under way.
    if (this.#followers.has(scope)) return;
    const before = this.#served.get(scope);
    this.#served.delete(scope);
    this.#refusals.delete(scope);
    this.#options.target.removeScope(scope);
    if (before !== undefined) this.#values.release(before, undefined);
    this.#options.lastGood?.dropScope(scope);
    this.#options.hooks?.onScopeRemoved?.(scope);
    this.#tellHeld();
    this.#log.info("scope_removed", { scope });
    this.#changed();
  }

  #tellHeld(): void {
    let held = 0;
    for (const resources of this.#served.values()) held += resources.size;
    this.#options.hooks?.onHeld?.(held);
  }

  #refused(subject: string, error: RefusalError, version?: number): void {
    const { reason, message } = error;
    this.#log.warn("refused", { subject, reason, error: message, version });
    this.#options.hooks?.onRefused?.(subject, reason, message);
    this.#refusals.delete(subject);
    this.#refusals.set(subject, {
      scope: subject,
      reason,
      message: message.slice(0, 500),
      ...(version === undefined ? {} : { version }),
    });
    const oldest = this.#refusals.keys().next().value;
    if (this.#refusals.size > MAX_REFUSALS && oldest !== undefined) this.#refusals.delete(oldest);
    this.#heartbeats.soon();
  }

  #changed(): void {
    this.#checkReady();
    this.#heartbeats.soon();
  }

  #checkReady(): void {
    if (this.#ready || this.#catalogueEntries === undefined) return;
    const complete = this.#catalogueEntries.every((entry) =>
      entry.tombstone ||
      (this.#followers.get(entry.scope)?.ack?.version ?? 0) >= entry.minVersion
    );
    if (!complete || !this.#options.target.complete()) return;
    this.#ready = true;
    clearInterval(this.#timer);
    this.#log.info("ready", { scopes: this.#followers.size });
    this.#options.hooks?.onReady?.();
    this.#readyLatch.resolve();
    this.#heartbeats.soon();
  }

  /** Says that no new connections should come; what is served stays. */
  drain(): void {
    this.#draining = true;
    this.#heartbeats.soon();
  }

  /** Ends reading, says so in a last heartbeat, and finishes the local copy. */
  async close(): Promise<void> {
    this.#stopping = true;
    this.#closing.abort();
    clearInterval(this.#timer);
    this.#heartbeats.close();
    await this.#started.catch((error) => {
      this.#log.error("apply_start_failed", { error: errorMessage(error) });
    });
    await this.#values.close();
    await this.#catalogue?.close();
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()));
    await Promise.all(this.#ending);
    await this.#epochs.close();
    await this.#options.lastGood?.flush();
  }
}
