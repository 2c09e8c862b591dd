/** The state of a leading publisher: its term, what is on the bus, and the steps of a publish. */
import type { Clock } from "../../shared/lib/clock.ts";
import type { Logger } from "../../shared/lib/log.ts";
import { EPOCH_SUBJECT } from "../../shared/bus/subjects.ts";
import { BusError, MAX_BATCH, type OutMessage } from "../../shared/bus/transport.ts";
import { HEADER } from "../../shared/snapshot/envelope.ts";
import { SNAPSHOT_FEATURES } from "../../shared/snapshot/features.ts";
import { fleetScope } from "../../shared/snapshot/ids.ts";
import { KeySet } from "../../shared/snapshot/keys.ts";
import { groupPlans, isFirstChunk, type SizedPlan, sizePlan } from "./batches.ts";
import { catalogueContent } from "./catalogue.ts";
import { raiseEpoch, stillLeading, type Term } from "./leadership.ts";
import { neededSubjects } from "./needs.ts";
import { planScope, type PublishedScope, type ScopePlan } from "./plan_scope.ts";
import type { PublisherOptions } from "./options.ts";
import type { OversizeScope, PublishResult, ScopeResult } from "./result.ts";
import { type ReadBackOptions, readScopes } from "./read_back.ts";
import { PendingRemovals } from "./removals.ts";
import { purgeOld } from "./retention.ts";
import type { Desired, ScopeContent } from "./types.ts";
import { ValueWriter } from "./value_writer.ts";

/** Another controller leads. */
export class DeposedError extends Error {
  override readonly name = "DeposedError";
}

/** From this fill on, checkpoints are written and old messages purged. */
const TIDY_FILL = 0.7;
/** Above this fill only checkpoints and the epoch are written. */
const RESERVE_FILL = 0.9;
/** Purges are at least this far apart, ms. */
const PURGE_INTERVAL = 5000;
/** How often and how long to wait for the history before a full stream counts as full, ms. */
const ROOM_ATTEMPTS = 20;
const ROOM_WAIT = 50;
type SessionOptions = PublisherOptions & {
  clock: Clock;
  log: Logger;
  /** Aborts when the publisher closes. */
  signal: AbortSignal;
};

export class PublishSession {
  readonly #options: SessionOptions;
  readonly #keys: KeySet;
  readonly #values: ValueWriter;
  readonly #removals: PendingRemovals;
  #term: Term | undefined;
  #scopes = new Map<string, PublishedScope>();
  #lastSequence = 0;
  #bytes = 0;
  #maxBytes = -1;
  #previousLineage: string | undefined;
  /** Checkpoints were written whose predecessors are still on the stream. */
  #purgeDue = false;
  /** Monotonic ms of the last purge. */
  #purgedAt = -Infinity;
  /** Scope → version that was written as a checkpoint for proxies with a broken chain. */
  readonly #healed = new Map<string, number>();
  /** Scopes whose deltas have outgrown their checkpoint. */
  readonly #checkpointDue = new Set<string>();
  /** A write's fate is unknown: read everything back before the next. */
  #unsure = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#previousLineage = options.previousLineage;
    this.#keys = new KeySet([options.signer.publicKey, ...(options.trustedKeys ?? [])]);
    this.#removals = new PendingRemovals(options.removalGrace);
    this.#values = new ValueWriter({ ...options, now: () => options.clock.now() });
  }

  get leading(): boolean {
    return this.#term !== undefined;
  }

  get lineage(): string | undefined {
    return this.#term?.record.lineage ?? this.#previousLineage;
  }

  /** Makes sure of streams and term. @returns true when something has to be written again. */
  async ensure(): Promise<boolean> {
    const { bus } = this.#options;
    const created = await bus.ensureStreams();
    if (this.#term !== undefined && created.includes("LGW_CURRENT")) {
      // Its life is over: the next one names it.
      this.#previousLineage = this.#term.record.lineage;
      this.#term = undefined;
    }
    if (this.#term === undefined) {
      await this.#takeOffice();
      return true;
    }
    if (!(await stillLeading(bus, this.#term))) throw new DeposedError();
    if (this.#unsure) {
      await this.#readBack();
      return true;
    }
    const refill = created.includes("LGW_SECRETS") || created.includes("LGW_STATE");
    if (refill) await this.#values.load(this.#readBackOptions(this.#term));
    return refill;
  }

  async #takeOffice(): Promise<void> {
    const { bus, signer, holder, clock, newLineage = () => crypto.randomUUID() } = this.#options;
    this.#term = await raiseEpoch(bus, {
      signer,
      keys: this.#keys,
      holder,
      now: () => clock.now(),
      newLineage,
      ...(this.#previousLineage === undefined ? {} : { previousLineage: this.#previousLineage }),
    });
    const { lineage, epoch } = this.#term.record;
    this.#options.log.info("leading", { lineage, epoch });
    await this.#readBack();
  }

  async #readBack(): Promise<void> {
    const term = this.#require();
    const options = this.#readBackOptions(term);
    const known = this.#scopes;
    const scopes = await readScopes(this.#options.bus, options);
    for (const [scope, before] of known) {
      const now = scopes.get(scope);
      // A new stream holds nothing of the old life, but versions go on from there.
      if (now === undefined) scopes.set(scope, { ...before, state: undefined });
      else scopes.set(scope, { ...now, sources: before.sources });
    }
    await this.#values.load(options);
    await this.#measure();
    this.#scopes = scopes;
    this.#unsure = false;
  }

  async #measure(): Promise<void> {
    const info = await this.#options.bus.info("LGW_CURRENT");
    this.#lastSequence = info.lastSequence;
    this.#bytes = info.bytes;
    this.#maxBytes = info.maxBytes;
    this.#options.hooks?.onFill?.({ bytes: info.bytes, maxBytes: info.maxBytes });
  }

  #require(): Term {
    if (this.#term === undefined) throw new BusError("unavailable", "not leading yet");
    return this.#term;
  }

  #readBackOptions(term: Term): ReadBackOptions {
    return {
      keys: this.#keys,
      record: term.record,
      features: new Set(SNAPSHOT_FEATURES),
      signal: this.#options.signal,
      onRefused: (subject, error) => this.#options.hooks?.onRefused?.(subject, error),
    };
  }

  /** One publish: last-value data, then versions and catalogue, then what may go. */
  async publish(desired: Desired, cause?: string): Promise<PublishResult> {
    const term = this.#require();
    const readBack = this.#readBackOptions(term);
    const { failures } = await this.#values.write(desired, { term, readBack });
    const planned = this.#planAll(desired, { term, cause });
    const oversize = await this.#send(planned.plans, term);
    // The catalogue names only what is there: it goes last, and sees what was left out.
    const catalogue = this.#planCatalogue(desired, { term });
    if (catalogue !== undefined) oversize.push(...await this.#send([catalogue], term));
    const versions = new Map([...this.#scopes].map(([scope, { version }]) => [scope, version]));
    this.#removals.replace(this.#values.surplus, {
      versions,
      now: this.#options.clock.monotonic(),
    });
    const stored = new Map(planned.plans.map((plan) => [plan.scope, plan]));
    const scopes = new Map<string, ScopeResult>();
    for (const scope of desired.scopes.keys()) {
      const state = this.#scopes.get(scope)?.state;
      if (state === undefined) continue;
      const plan = stored.get(scope);
      const changed = plan?.state === state;
      const { version, digest } = state;
      scopes.set(scope, { version, digest, changed, changes: changed ? plan.changes : [] });
    }
    const { lineage, epoch } = term.record;
    return { kind: "published", lineage, epoch, scopes, oversize, failures };
  }

  #planAll(desired: Desired, options: { term: Term; cause: string | undefined }) {
    const plans: ScopePlan[] = [];
    const catalogue = fleetScope(this.#options.fleet);
    for (const [scope, content] of desired.scopes) {
      const plan = this.#plan(scope, content, options);
      if (plan !== undefined) plans.push(plan);
    }
    for (const [scope, published] of this.#scopes) {
      if (scope === catalogue || desired.scopes.has(scope)) continue;
      // A scope that is gone ends with an empty version, so that its content leaves the stream.
      if (published.state?.resources.size === 0) continue;
      const plan = this.#plan(scope, { resources: new Map(), sources: new Map() }, options);
      if (plan !== undefined) plans.push(plan);
    }
    return { plans };
  }

  #plan(
    scope: string,
    content: ScopeContent,
    options: { term: Term; cause?: string | undefined; checkpoint?: boolean },
  ): ScopePlan | undefined {
    const { signer, clock } = this.#options;
    const { cause, checkpoint = false } = options;
    const published = this.#scopes.get(scope);
    const plan = planScope({ scope, content, published }, {
      record: options.term.record,
      signer,
      time: clock.now(),
      checkpoint,
      needsOf: (resources) =>
        neededSubjects(scope, resources).flatMap((subject) => this.#values.need(subject) ?? []),
      ...(cause === undefined ? {} : { reason: cause }),
    });
    if (plan === undefined && published !== undefined) published.content = content.resources;
    return plan;
  }

  #planCatalogue(desired: Desired, options: { term: Term }): ScopePlan | undefined {
    const scope = fleetScope(this.#options.fleet);
    const published = new Map(this.#scopes);
    published.delete(scope);
    const resources = catalogueContent(published, {
      before: this.#scopes.get(scope)?.state?.resources,
      wanted: new Set(desired.scopes.keys()),
    });
    return this.#plan(scope, { resources, sources: new Map() }, options);
  }

  /** Stores plans in as few batches as possible. @returns those that do not fit. */
  async #send(plans: readonly ScopePlan[], term: Term): Promise<OversizeScope[]> {
    const sized = plans.map((plan) => sizePlan(plan, this.#options.bus.maxBody));
    const { batches, oversize } = groupPlans(sized, {
      room: this.#maxBytes < 0 ? Infinity : this.#maxBytes,
    });
    for (const batch of batches) {
      const bytes = batch.reduce((sum, { bytes }) => sum + bytes, 0);
      const whole = batch.every(({ plan }) => plan.messages.some((m) => m.type === "checkpoint"));
      if (!(await this.#roomFor(bytes, whole ? 1 : RESERVE_FILL))) {
        const message = "LGW_CURRENT is full: raise its size or make the configuration smaller";
        oversize.push(...batch.map(({ plan, bytes }) => ({ scope: plan.scope, bytes, message })));
        continue;
      }
      await this.#store(batch, term);
    }
    return oversize;
  }

  /** Makes room if need be; the history may take a moment to copy what is to be purged. */
  async #roomFor(bytes: number, limit: number): Promise<boolean> {
    if (this.#fillWith(bytes) <= RESERVE_FILL) return true;
    await this.#makeRoom();
    for (let attempt = 0; this.#fillWith(bytes) > limit; attempt++) {
      if (attempt === ROOM_ATTEMPTS) return false;
      await this.#options.clock.delay(ROOM_WAIT);
      await this.#purge();
    }
    return true;
  }

  #fillWith(bytes: number): number {
    return this.#maxBytes < 0 ? 0 : (this.#bytes + bytes) / this.#maxBytes;
  }

  async #store(batch: readonly SizedPlan[], term: Term): Promise<void> {
    const { bus, hooks, clock } = this.#options;
    const first = new Map<ScopePlan, number>();
    let sequence = this.#lastSequence;
    const messages: OutMessage[] = [];
    for (const { plan, messages: own } of batch) {
      let start = 0;
      for (const { type, out } of own) {
        sequence++;
        // The fence makes the sequences known before the batch is stored.
        if (isFirstChunk(out)) start = sequence;
        if (type === "checkpoint") first.set(plan, start);
        const headers = { ...out.signed.headers, [HEADER.first]: String(start) };
        messages.push({ ...out, signed: { ...out.signed, headers } });
      }
    }
    const began = clock.monotonic();
    const subjectSequence = term.sequence;
    const lastSequence = this.#lastSequence;
    this.#unsure = true;
    try {
      const fence = { lastSequence, subject: EPOCH_SUBJECT, subjectSequence };
      this.#lastSequence = (await bus.publishBatch(messages, fence)).sequence;
    } catch (error) {
      if (error instanceof BusError && error.kind === "fence") {
        if (!(await stillLeading(bus, term))) throw new DeposedError();
      }
      throw error;
    }
    this.#unsure = false;
    const bytes = batch.reduce((sum, entry) => sum + entry.bytes, 0);
    this.#bytes += bytes;
    for (const { plan } of batch) this.#commit(plan, first.get(plan));
    const milliseconds = clock.monotonic() - began;
    hooks?.onBatch?.({ messages: messages.length, bytes, milliseconds });
  }

  #commit(plan: ScopePlan, checkpointSequence: number | undefined): void {
    const before = this.#scopes.get(plan.scope);
    const last = plan.messages.at(-1);
    const { state, content, sources } = plan;
    const base = { state, version: state.version, content, sources };
    if (plan.checkpointDue) this.#checkpointDue.add(plan.scope);
    else this.#checkpointDue.delete(plan.scope);
    if (checkpointSequence !== undefined || before === undefined) {
      this.#purgeDue ||= before !== undefined;
      this.#scopes.set(plan.scope, {
        ...base,
        deltas: 0,
        deltaBytes: 0,
        checkpointBytes: last?.payloadBytes ?? 0,
        checkpointSequence: checkpointSequence ?? 0,
      });
      return;
    }
    this.#scopes.set(plan.scope, {
      ...before,
      ...base,
      deltas: before.deltas + 1,
      deltaBytes: before.deltaBytes + (last?.payloadBytes ?? 0),
    });
  }

  /** Writes what is published of a scope as a whole, if there is room. */
  async #checkpoint(scope: string, options: { term: Term; cause?: string }): Promise<void> {
    const published = this.#scopes.get(scope);
    if (published?.state === undefined) return;
    const { state, content = state.resources, sources } = published;
    const plan = this.#plan(scope, { resources: content, sources }, {
      ...options,
      checkpoint: true,
    });
    if (plan === undefined) return;
    const sized = sizePlan(plan, this.#options.bus.maxBody);
    if (this.#fillWith(sized.bytes) > 1 || sized.messages.length > MAX_BATCH) return;
    await this.#store([sized], options.term);
  }

  /** Checkpoints every scope that has deltas, then purges: room for what comes. */
  async #makeRoom(): Promise<void> {
    const term = this.#require();
    for (const [scope, { deltas }] of [...this.#scopes]) {
      if (deltas > 0) await this.#checkpoint(scope, { term });
    }
    await this.#purge();
  }

  async #purge(): Promise<void> {
    const { bus, hooks } = this.#options;
    const purged = await purgeOld(bus, { scopes: this.#scopes, epoch: this.#require().sequence });
    if (purged > 0) hooks?.onPurged?.(purged);
    this.#purgeDue = false;
    await this.#measure();
  }

  /** Proxies whose chain of deltas is broken get a checkpoint, once per version. */
  async #heal(): Promise<void> {
    const term = this.#require();
    for (const scope of this.#options.acks?.brokenScopes() ?? []) {
      const published = this.#scopes.get(scope);
      if (published?.state === undefined || this.#healed.get(scope) === published.version) continue;
      this.#healed.set(scope, published.version);
      await this.#checkpoint(scope, { term, cause: "resync" });
    }
  }

  /** After a publish: what was dropped and acknowledged goes; a full stream is tidied. */
  async tidy(desired: Desired | undefined): Promise<void> {
    if (desired === undefined) return;
    const { acks, clock } = this.#options;
    const due = this.#removals.due(acks?.liveVersions() ?? [], clock.monotonic());
    for (const target of due) await this.#values.remove(target);
    await this.#heal();
    for (const scope of this.#checkpointDue) {
      await this.#checkpoint(scope, { term: this.#require() });
    }
    const now = clock.monotonic();
    if (now - this.#purgedAt < PURGE_INTERVAL) return;
    const full = this.#fillWith(0) >= TIDY_FILL;
    if (!full && !this.#purgeDue) return;
    this.#purgedAt = now;
    if (full) await this.#makeRoom();
    else await this.#purge();
  }
}
