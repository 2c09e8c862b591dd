/** One scope, from the bus to the swap: chunks → verify → compile → wait for needs → swap. */
import type { ScopeAck } from "../../bus/heartbeat.ts";
import { scopeFilter, snapshotSubject } from "../../bus/subjects.ts";
import {
  BusError,
  type BusMessage,
  type BusReader,
  type Consumption,
  type StartAt,
} from "../../bus/transport.ts";
import type { Clock } from "../../lib/clock.ts";
import { ChunkAssembler } from "../../snapshot/chunks.ts";
import { HEADER, type SignedMessage } from "../../snapshot/envelope.ts";
import type { KeySet } from "../../snapshot/keys.ts";
import type { Need } from "../../snapshot/messages.ts";
import { RefusalError } from "../../snapshot/refusal.ts";
import { type ScopeState, type VerifiedMessage, verifySnapshot } from "../../snapshot/verify.ts";
import type { EpochFollower } from "./epoch_follower.ts";
import type { Swap, VerifiedSnapshot } from "./types.ts";

/** A broken chain is mended from a checkpoint at most this often, ms. */
const RESYNC_INTERVAL = 5000;

/** A swap that took place. */
export interface Swapped {
  snapshot: VerifiedSnapshot;
  degraded: boolean;
  milliseconds: number;
  /** The controller's time stamp of the version, ms since the epoch. */
  time: number;
}

export interface ScopeFollowerOptions {
  bus: BusReader;
  scope: string;
  keys: KeySet;
  epochs: EpochFollower;
  features: ReadonlySet<string>;
  clock: Clock;
  /** The verified local copy: nothing older is taken, and it serves while the bus is away. */
  copy?: { state: ScopeState; needs: readonly Need[] };
  /** Compiles; throws or rejects when it cannot. */
  prepare(snapshot: VerifiedSnapshot): Swap | Promise<Swap>;
  /** Waits, bounded, for data; false = not all of it came. */
  waitFor(needs: readonly Need[]): Promise<boolean>;
  onSwap(swapped: Swapped): void;
  onRefused(error: RefusalError, version: number | undefined): void;
  /** A message verified: material for the local copy. */
  onVerified(message: SignedMessage, type: "delta" | "checkpoint"): void;
}

export class ScopeFollower {
  readonly #options: ScopeFollowerOptions;
  #chunks = new ChunkAssembler();
  /** Last verified. */
  #state: ScopeState | undefined;
  /** Last swapped in. */
  #applied: ScopeState | undefined;
  #degraded = false;
  /** Version and digest that the data plane refused: not tried again. */
  #unfit = "";
  #needs: readonly Need[] = [];
  #time = 0;
  #changed: Set<string> | undefined;
  #consumption: Consumption | undefined;
  #readAll = false;
  /** Reading from a checkpoint on: what is known already is passed over without a word. */
  #catchingUp = false;
  #resyncAt = -Infinity;
  #closed = false;
  #applying: Promise<void> = Promise.resolve();

  constructor(options: ScopeFollowerOptions) {
    this.#options = options;
    this.#state = options.copy?.state;
    this.#needs = options.copy?.needs ?? [];
  }

  /** What is served. */
  get ack(): ScopeAck | undefined {
    if (this.#applied === undefined) return undefined;
    const { lineage, version, digest } = this.#applied;
    return { lineage, version, digest, degraded: this.#degraded };
  }

  get applied(): ScopeState | undefined {
    return this.#applied;
  }

  start(): void {
    this.#consumption = this.#options.bus.consume({
      stream: "LGW_CURRENT",
      filter: scopeFilter(this.#options.scope),
      start: () => this.#start(),
      onMessage: (message) => this.#take(message),
      onCaughtUp: () => {
        this.#catchingUp = false;
        return this.#apply();
      },
      onReplaced: () => this.#chunks = new ChunkAssembler(),
    });
  }

  async #start(): Promise<StartAt> {
    const { bus, scope, epochs } = this.#options;
    await epochs.refresh();
    this.#chunks = new ChunkAssembler();
    this.#catchingUp = true;
    if (this.#readAll) return { from: "all" };
    const checkpoint = await bus.last("LGW_CURRENT", snapshotSubject(scope, "checkpoint"));
    if (checkpoint === undefined) throw new BusError("missing", `${scope}: no checkpoint yet`);
    const first = Number(checkpoint.signed.headers[HEADER.first]);
    // A hint outside the signature: a wrong one makes the chunks incomplete, which is refused.
    const sane = Number.isSafeInteger(first) && first > 0 && first <= checkpoint.sequence;
    return { from: "sequence", sequence: sane ? first : checkpoint.sequence };
  }

  async #take(message: BusMessage): Promise<void> {
    const assembled = this.#chunks.push(message.signed);
    if (assembled.refused !== undefined) this.#refuse(assembled.refused, message.signed);
    if (assembled.message !== undefined && !this.#isKnown(assembled.message)) {
      await this.#offer(assembled.message, message.sequence);
    }
    if (message.pending === 0) await this.#apply();
  }

  /** Decided by headers, which nobody signed: passing over has no effect on what is served. */
  #isKnown(message: SignedMessage): boolean {
    if (!this.#catchingUp || this.#state === undefined) return false;
    // Another lineage counts for itself.
    if (this.#state.lineage !== this.#options.epochs.term?.lineage) return false;
    const version = Number(message.headers[HEADER.version]);
    // A checkpoint of the same version is the link that the next delta names.
    return message.headers[HEADER.type] === "checkpoint"
      ? version < this.#state.version
      : version <= this.#state.version;
  }

  async #offer(message: SignedMessage, sequence: number): Promise<void> {
    try {
      this.#accept(this.#verify(message, sequence), message);
    } catch (error) {
      const refusal = asRefusal(error);
      if (refusal.reason !== "epoch" && refusal.reason !== "lineage") {
        return this.#refuse(refusal, message);
      }
      // The record that allows it may not have arrived: two consumers keep no common order.
      try {
        await this.#options.epochs.refresh();
        this.#accept(this.#verify(message, sequence), message);
      } catch (again) {
        this.#refuse(again instanceof RefusalError ? again : refusal, message);
      }
    }
  }

  #verify(message: SignedMessage, sequence: number): VerifiedMessage {
    const { keys, scope, epochs, features } = this.#options;
    const term = epochs.term;
    if (term === undefined) throw new RefusalError("epoch", "no epoch record yet");
    return verifySnapshot(message, this.#state, {
      keys,
      scope,
      term,
      features,
      minEpoch: epochs.minEpoch(sequence),
    });
  }

  #accept(verified: VerifiedMessage, message: SignedMessage): void {
    const { state, payload, type, changed, repeated } = verified;
    this.#options.onVerified(message, type);
    this.#state = state;
    this.#readAll = false;
    if (repeated) return;
    this.#time = payload.meta.time;
    if (changed === undefined) {
      this.#changed = undefined;
      this.#needs = payload.needs;
      return;
    }
    // Undefined until a swap has begun: the first one hands over everything.
    if (this.#changed !== undefined) { for (const id of changed) this.#changed.add(id); }
    this.#needs = [...this.#needs, ...payload.needs];
  }

  /** The bus is away: serves the local copy, unless something is served already. */
  async serveCopy(): Promise<void> {
    if (this.#applied === undefined) await this.#apply();
  }

  /** One at a time: the local copy and the bus may both have something to apply. */
  #apply(): Promise<void> {
    this.#applying = this.#applying.then(() => this.#applyNow());
    return this.#applying;
  }

  async #applyNow(): Promise<void> {
    const state = this.#state;
    if (state === undefined || this.#closed) return;
    const applied = this.#applied;
    if (
      applied?.digest === state.digest && applied.version === state.version &&
      applied.lineage === state.lineage
    ) return;
    const key = `${state.lineage} ${state.version} ${state.digest}`;
    if (this.#unfit === key) return;
    const { clock, prepare, waitFor, onSwap } = this.#options;
    const began = clock.monotonic();
    const { scope, lineage, epoch, version, digest, resources } = state;
    const changed = applied === undefined ? undefined : this.#changed;
    const needs = this.#needs;
    const time = this.#time;
    const snapshot: VerifiedSnapshot = {
      scope,
      lineage,
      epoch,
      version,
      digest,
      resources,
      ...(changed === undefined ? {} : { changed }),
    };
    // What comes from here on belongs to the next swap.
    this.#changed = new Set();
    this.#needs = [];
    let swap: Swap;
    try {
      swap = await prepare(snapshot);
    } catch (error) {
      this.#unfit = key;
      // The next version is compiled from what is in force, so it changes this one's objects too.
      this.#changed = changed?.union(this.#changed ?? changed);
      this.#needs = [...needs, ...this.#needs];
      const message = error instanceof Error ? error.message : String(error);
      return this.#options.onRefused(new RefusalError("compile", message), version);
    }
    const degraded = !(await waitFor(needs));
    if (this.#closed) return;
    await swap();
    this.#applied = state;
    this.#degraded = degraded;
    const milliseconds = clock.monotonic() - began;
    onSwap({ snapshot, degraded, milliseconds, time });
  }

  #refuse(error: RefusalError, message: SignedMessage): void {
    const version = Number(message.headers[HEADER.version]);
    this.#options.onRefused(error, Number.isSafeInteger(version) ? version : undefined);
    const now = this.#options.clock.monotonic();
    if (now - this.#resyncAt < RESYNC_INTERVAL) return;
    this.#resyncAt = now;
    if (this.#state === undefined) {
      // The newest checkpoint is no good: an older one with its deltas may be.
      this.#readAll = true;
      this.#consumption?.restart();
    } else void this.#resync(this.#state.version);
  }

  /** Starts over from a newer checkpoint, if there is one. */
  async #resync(version: number): Promise<void> {
    const { bus, scope } = this.#options;
    try {
      const newest = await bus.last("LGW_CURRENT", snapshotSubject(scope, "checkpoint"));
      const offered = Number(newest?.signed.headers[HEADER.version] ?? 0);
      if (offered > version + 1) this.#consumption?.restart();
    } catch {
      // Away: the consumer itself comes back and goes on.
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#consumption?.close();
    await this.#applying;
  }
}

function asRefusal(error: unknown): RefusalError {
  if (error instanceof RefusalError) return error;
  throw error;
}
