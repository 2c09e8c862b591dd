/**
 * The controller's loop: changes → compile → binds → publish → status. One compile at a time; a
 * change that arrives meanwhile is taken by the next.
 */
import type { Clock } from "../shared/lib/clock.ts";
import { errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { gatewayScope } from "../shared/snapshot/ids.ts";
import { IncrementalCompiler } from "./compile/incremental.ts";
import type { IncrementalResult } from "./compile/drafts.ts";
import { nextExpiry } from "./attach/certificates.ts";
import type { StatusAddress } from "./status/gateway.ts";
import type { Binds, FleetPorts } from "./infra/fleet_ports.ts";
import type { ControllerMetrics } from "./observe/metrics.ts";
import { latchKey, ProgrammedLatch } from "./programmed.ts";
import type { ReadyVersions } from "./programmed.ts";
import type { Publisher } from "./publish/publisher.ts";
import type { PublishResult } from "./publish/result.ts";
import { type Batch, newlyRefused, type Problem } from "./source/batch.ts";
import type { StatusSink } from "./status/sink.ts";
import type { ProxyReport, StatusReport } from "./status_report.ts";
import { keyOf, type Kind, kindOf } from "./model/objects.ts";
import { setGateway } from "./store/group.ts";
import { ObjectStore } from "./store/store.ts";
import type { StoredView } from "./store/view.ts";

/** What the fleet says about itself. */
export interface FleetView {
  /** Scope → version per ready proxy; versions of another life of the stream do not count. */
  readyVersions(lineage: string): ReadyVersions;
  /** Fleet ports that some proxy could not bind. */
  unusablePorts(): ReadonlySet<number>;
  reports(): ProxyReport[];
}

/** What Gateways have around them: addresses above all. */
export interface Surroundings {
  addresses(scope: string): StatusAddress[];
  /** Why a Gateway cannot have what it wants, though its objects are in order. */
  obstacle?(scope: string): string | undefined;
  /** What the Gateways want now. */
  want?(infrastructure: IncrementalResult["infrastructure"], binds: Binds): void;
}

/** Objects that are read because something refers to them. */
export interface ReferredObjects {
  kinds: readonly Kind[];
  /** Undefined when all of them are known; else resolves when they are, or are late. */
  follow(keys: ReadonlySet<string>): Promise<void> | undefined;
}

export interface LoopOptions {
  publisher: Pick<Publisher, "publish">;
  fleet: FleetView;
  controllerName: string;
  ports: FleetPorts;
  /** What stands around the Gateways. */
  surroundings: Surroundings;
  /** As in `EndpointOptions`. Default true. */
  servicesByName?: boolean;
  /** Where objects come from that are read one by one. Default: nowhere. */
  references?: ReferredObjects;
  statuses: StatusSink;
  metrics: ControllerMetrics;
  clock: Clock;
  log: Logger;
  /** Told how many objects there are, after each pass. */
  onHeld?: (objects: number) => void;
}

/** Milliseconds that a status waits for acknowledgements, so that it is one write. */
const STATUS_HOLD = 300;

/** Milliseconds after which what failed is tried again without a change. */
const RETRY = 5_000;

/** What was just read may refer to more: so often is it looked up before the rest goes out. */
const ROUNDS = 3;

/** Milliseconds: longer timers fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export class ControllerLoop {
  readonly #options: LoopOptions;
  readonly #store = new ObjectStore();
  readonly #latch = new ProgrammedLatch();
  readonly #compiler: IncrementalCompiler;
  /** What the sink was told. */
  #desired: IncrementalResult["statuses"] | undefined;
  /** Source name → its problems. */
  readonly #problems = new Map<string, readonly Problem[]>();
  readonly #published = new Map<string, { version: number; digest: string }>();
  /** Scope → why its newest content is not served. */
  #oversize: ReadonlyMap<string, string> = new Map();
  #compiled: IncrementalResult | undefined;
  /** The life of the stream that versions belong to; empty until something was published. */
  #lineage = "";
  #started = false;
  #dirty = false;
  #running = false;
  #leading = false;
  #statusTimer: ReturnType<typeof setTimeout> | undefined;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #expiryTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: LoopOptions) {
    this.#options = options;
    const { controllerName, clock, metrics, references } = options;
    this.#compiler = new IncrementalCompiler({
      controllerName,
      referredKinds: references?.kinds ?? [],
      servicesByName: options.servicesByName ?? true,
      observer: {
        now: () => clock.monotonic(),
        decided: (kind, { count, milliseconds }) => {
          metrics.reconciles.inc({ kind }, count);
          metrics.reconcileSeconds.observe({ kind }, milliseconds / 1000);
        },
      },
    });
  }

  /** Takes a change from a source. */
  onBatch(source: string, batch: Batch): void {
    const { metrics, log } = this.#options;
    for (const kind of newlyRefused(this.#problems.get(source) ?? [], batch.problems)) {
      metrics.reconcileErrors.inc({ kind });
    }
    this.#problems.set(source, batch.problems);
    for (const severity of ["error", "warning"] as const) {
      const count = this.#allProblems().filter((problem) => problem.severity === severity).length;
      metrics.sourceProblems.set({ severity }, count);
    }
    for (const { kind } of batch.upserts) metrics.objectChanges.inc({ kind });
    for (const key of batch.deletes) metrics.objectChanges.inc({ kind: kindOf(key) });
    if (!this.#store.apply(batch)) return;
    log.debug("objects_changed", { upserts: batch.upserts.length, deletes: batch.deletes.length });
    this.trigger();
  }

  /**
   * Every source has told what there is. Before that nothing is published: what a source has not
   * told yet would look deleted, and proxies would stop serving it.
   */
  start(): void {
    this.#started = true;
    this.trigger();
  }

  /** Compiles and publishes as soon as nothing else runs. */
  trigger(): void {
    this.#dirty = true;
    if (this.#started && !this.#running && !this.#closed) void this.#run();
  }

  /** The fleet said something new: acknowledgements, or a port that could not be bound. */
  onFleetChanged(): void {
    const { fleet, clock, metrics, ports } = this.#options;
    const ready = fleet.readyVersions(this.#lineage);
    metrics.readyProxies.set(ready.length);
    if (ports.avoid(fleet.unusablePorts())) this.trigger();
    const changed = this.#latch.update(ready, clock.monotonic());
    if (changed && this.#leading) this.#updateStatuses();
    this.#watchGrace();
  }

  /** Addresses or obstacles may be different. */
  onSurroundingsChanged(): void {
    if (this.#leading) this.#holdStatuses();
  }

  report(): StatusReport {
    return {
      leading: this.#leading,
      objects: this.#options.statuses.statuses(),
      scopes: Object.fromEntries(this.#published),
      proxies: this.#options.fleet.reports(),
      problems: this.#allProblems(),
      diagnostics: [...this.#compiled?.diagnostics ?? []]
        .sort(([a], [b]) => a < b ? -1 : 1).map(([, diagnostic]) => diagnostic),
    };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#statusTimer);
    clearTimeout(this.#graceTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#expiryTimer);
  }

  #allProblems(): Problem[] {
    return [...this.#problems.values()].flat();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#dirty && !this.#closed) {
      this.#dirty = false;
      try {
        await this.#pass();
      } catch (error) {
        // A fault of ours must not end the loop: what is published stays, the next change is tried.
        this.#failed(error);
      }
    }
    this.#running = false;
  }

  #failed(error: unknown): void {
    const { log, metrics } = this.#options;
    metrics.passFailures.inc();
    log.error("pass_failed", { error: errorMessage(error) });
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#retryTimer !== undefined || this.#closed) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.trigger();
    }, RETRY);
  }

  /** When the last proxy falls silent nobody calls: the end of the grace has to be watched. */
  #watchGrace(): void {
    clearTimeout(this.#graceTimer);
    const { due } = this.#latch;
    if (due === undefined || this.#closed) return;
    const wait = Math.max(1, due - this.#options.clock.monotonic());
    this.#graceTimer = setTimeout(() => this.onFleetChanged(), wait);
  }

  async #pass(): Promise<void> {
    const { publisher, metrics, clock, ports, surroundings } = this.#options;
    const start = clock.monotonic();
    // What is published is this view; the store may hold a later one when the answer comes.
    const { view, result } = await this.#complete();
    metrics.compileSeconds.observe((clock.monotonic() - start) / 1000);
    ports.allocate(result.ports);
    surroundings.want?.(result.infrastructure, ports.binds);
    const published = await publisher.publish({
      scopes: result.scopes,
      endpoints: result.endpoints,
      certificates: result.certificates,
      trust: result.trust,
      binds: ports.maps,
    });
    metrics.publishSeconds.observe((clock.monotonic() - start) / 1000);
    this.#take(published, view);
    if (this.#leading) this.#holdStatuses();
    this.#options.onHeld?.(view.size);
  }

  /** Compiles, and again with what turned out to be referred to. */
  async #complete(): Promise<{ view: StoredView; result: IncrementalResult }> {
    for (let round = 1;; round++) {
      const view = this.#store.view();
      const result = this.#compile(view);
      const news = this.#options.references?.follow(this.#compiler.referred);
      if (news === undefined || round > ROUNDS) return { view, result };
      await news;
    }
  }

  /** Costs what is different since the last call. */
  #compile(view: StoredView): IncrementalResult {
    const { surroundings, ports } = this.#options;
    const now = this.#options.clock.now();
    const before = this.#compiled?.certificates;
    this.#compiled = this.#compiler.compile(view, {
      now,
      programmed: (scope, generation) => this.#latch.programmed(scope, generation),
      setProgrammed: (scope, { key, generation }) => this.#latch.programmed(scope, generation, key),
      obstacle: (scope) =>
        this.#oversize.get(scope) ?? ports.exhausted(scope) ?? surroundings.obstacle?.(scope),
      addresses: ({ namespace, name }) => surroundings.addresses(gatewayScope(namespace, name)),
    });
    if (this.#compiled.certificates !== before) this.#watchExpiry(now);
    return this.#compiled;
  }

  /** A certificate expires without anybody calling: its listener has to say so then. */
  #watchExpiry(now: number): void {
    clearTimeout(this.#expiryTimer);
    const next = nextExpiry(this.#compiled?.certificates.values() ?? [], now);
    if (next === Infinity || this.#closed) return;
    this.#expiryTimer = setTimeout(() => {
      if (this.#leading) this.#updateStatuses();
      this.#watchExpiry(this.#options.clock.now());
    }, Math.min(next - now, LONGEST_TIMER));
  }

  #take(published: PublishResult, view: StoredView): void {
    const { metrics, log } = this.#options;
    this.#leading = published.kind === "published";
    metrics.leader.set(this.#leading ? 1 : 0);
    if (published.kind !== "published") return;
    this.#lineage = published.lineage;
    this.#published.clear();
    for (const [scope, { version, digest, changed }] of published.scopes) {
      this.#published.set(scope, { version, digest });
      if (changed) {
        metrics.versions.inc();
        log.info("version_published", { scope, version });
      }
    }
    metrics.oversize.set(published.oversize.length);
    for (const { scope, message } of published.oversize) {
      log.error("snapshot_too_large", { scope, message });
    }
    this.#oversize = new Map(published.oversize.map(({ scope, message }) => [scope, message]));
    for (const { subject, message } of published.failures) {
      log.error("value_not_written", { subject, error: message });
    }
    metrics.valueFailures.inc(published.failures.length);
    if (published.failures.length > 0) this.#retryLater();
    for (const gateway of view.list("Gateway")) {
      const { namespace, name, generation } = gateway.meta;
      const scope = gatewayScope(namespace, name);
      // The version of a scope that does not fit is an earlier one, without this generation.
      const version = this.#oversize.has(scope) ? undefined : published.scopes.get(scope)?.version;
      if (version !== undefined) this.#latch.published(scope, generation, version);
    }
    const kept = new Set<string>(published.scopes.keys());
    for (const set of view.list("ListenerSet")) {
      const gateway = setGateway(set);
      if (gateway === undefined) continue;
      const scope = `gateway/${gateway}`;
      const version = this.#oversize.has(scope) ? undefined : published.scopes.get(scope)?.version;
      if (version !== undefined) {
        this.#latch.published(scope, set.meta.generation, version, keyOf(set));
      }
      kept.add(latchKey(scope, keyOf(set)));
    }
    this.#latch.retain(kept);
  }

  /** Gives acknowledgements a moment, then writes statuses once for everything since. */
  #holdStatuses(): void {
    if (this.#statusTimer !== undefined || this.#closed) return;
    this.#statusTimer = setTimeout(() => {
      this.#statusTimer = undefined;
      const { fleet, clock } = this.#options;
      this.#latch.update(fleet.readyVersions(this.#lineage), clock.monotonic());
      this.#updateStatuses();
      this.#watchGrace();
    }, STATUS_HOLD);
  }

  #updateStatuses(): void {
    try {
      this.#writeStatuses();
    } catch (error) {
      this.#failed(error);
    }
  }

  #writeStatuses(): void {
    const { statuses: sink } = this.#options;
    const { statuses } = this.#compile(this.#store.view());
    const changed = this.#desired === undefined
      ? statuses.keys()
      : statuses.changedSince(this.#desired);
    for (const key of changed) sink.want(key, statuses.get(key));
    sink.complete();
    this.#desired = statuses;
  }
}
