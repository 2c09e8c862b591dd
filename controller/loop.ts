/**
 * The controller's loop: changes → compile → binds → publish → status. One compile at a time; a
 * change that arrives meanwhile is taken by the next.
 */
import type { Clock } from "../shared/lib/clock.ts";
import { errorMessage } from "../shared/lib/log.ts";
import type { Logger } from "../shared/lib/log.ts";
import { gatewayScope } from "../shared/snapshot/ids.ts";
import type { BindMap } from "../shared/snapshot/schema.ts";
import { IncrementalCompiler } from "./compile/incremental.ts";
import type { IncrementalResult } from "./compile/incremental.ts";
import { nextExpiry } from "./attach/certificates.ts";
import { statusAddressOf } from "./status/gateway.ts";
import { allocateBinds, bindMap } from "./infra/binds.ts";
import type { ControllerMetrics } from "./observe/metrics.ts";
import { ProgrammedLatch } from "./programmed.ts";
import type { ReadyVersions } from "./programmed.ts";
import type { Publisher } from "./publish/publisher.ts";
import type { PublishResult } from "./publish/result.ts";
import { type Batch, newlyRefused, type Problem } from "./source/batch.ts";
import { mergeStatus } from "./status/merge.ts";
import type { StoredStatus } from "./status/merge.ts";
import type { ProxyReport, StatusReport } from "./status_report.ts";
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

export interface LoopOptions {
  publisher: Pick<Publisher, "publish">;
  fleet: FleetView;
  controllerName: string;
  /** Address that Gateways report. */
  statusAddress: string;
  /** Gateway port → the fleet port that it should get. */
  preferredPort: (port: number) => number;
  metrics: ControllerMetrics;
  clock: Clock;
  log: Logger;
  /** Told how many objects there are, after each pass. */
  onHeld?: (objects: number) => void;
}

/** Milliseconds that a status waits for acknowledgements, so that it is one write. */
const STATUS_HOLD = 300;
/** Milliseconds that a port stays unused after a proxy could not bind it. */
const PORT_QUARANTINE = 10 * 60_000;

/** Milliseconds after which what failed is tried again without a change. */
const RETRY = 5_000;

interface Allocation {
  /** Scope → declared ports. */
  ports: IncrementalResult["ports"] | undefined;
  /** Fleet ports that were not to be used. */
  unusable: string;
  /** Scope → declared port → fleet port. */
  binds: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** The same as last-value data. */
  maps: ReadonlyMap<string, BindMap>;
}

/** Milliseconds: longer timers fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export class ControllerLoop {
  readonly #options: LoopOptions;
  readonly #store = new ObjectStore();
  readonly #latch = new ProgrammedLatch();
  readonly #compiler: IncrementalCompiler;
  readonly #statuses = new Map<string, StoredStatus>();
  /** What {@linkcode ControllerLoop.#statuses} was made of. */
  #desired: IncrementalResult["statuses"] | undefined;
  /** Fleet port → monotonic milliseconds until which it is not used. */
  readonly #quarantine = new Map<number, number>();
  /** Source name → its problems. */
  readonly #problems = new Map<string, readonly Problem[]>();
  readonly #published = new Map<string, { version: number; digest: string }>();
  /** Scope → why its newest content is not served. */
  #oversize: ReadonlyMap<string, string> = new Map();
  #exhausted: ReadonlyMap<string, string> = new Map();
  /** The last allocation of fleet ports, with what it was made for. */
  #allocation: Allocation = { ports: undefined, unusable: "", binds: new Map(), maps: new Map() };
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
    const { controllerName, clock, metrics } = options;
    this.#compiler = new IncrementalCompiler({
      controllerName,
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
    for (const key of batch.deletes) metrics.objectChanges.inc({ kind: key.split("/")[0] ?? "" });
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
    const { fleet, clock, metrics } = this.#options;
    const now = clock.monotonic();
    const ready = fleet.readyVersions(this.#lineage);
    metrics.readyProxies.set(ready.length);
    const { binds } = this.#allocation;
    const used = new Set([...binds.values()].flatMap((ports) => [...ports.values()]));
    let moved = false;
    for (const port of fleet.unusablePorts()) {
      if (!used.has(port) || this.#quarantine.has(port)) continue;
      this.#quarantine.set(port, now + PORT_QUARANTINE);
      moved = true;
    }
    if (moved) this.trigger();
    if (this.#latch.update(ready, now) && this.#started) this.#updateStatuses();
    this.#watchGrace();
  }

  report(): StatusReport {
    return {
      leading: this.#leading,
      objects: Object.fromEntries(this.#statuses),
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
    const { publisher, metrics, clock } = this.#options;
    const start = clock.monotonic();
    // What is published is this view; the store may hold a later one when the answer comes.
    const view = this.#store.view();
    const result = this.#compile(view);
    metrics.compileSeconds.observe((clock.monotonic() - start) / 1000);
    this.#allocate(result);
    const published = await publisher.publish({
      scopes: result.scopes,
      endpoints: result.endpoints,
      certificates: result.certificates,
      trust: result.trust,
      binds: this.#allocation.maps,
    });
    metrics.publishSeconds.observe((clock.monotonic() - start) / 1000);
    this.#take(published, view);
    this.#holdStatuses();
    this.#options.onHeld?.(view.size);
  }

  /** Costs what is different since the last call. */
  #compile(view: StoredView): IncrementalResult {
    const { statusAddress } = this.#options;
    const now = this.#options.clock.now();
    const before = this.#compiled?.certificates;
    this.#compiled = this.#compiler.compile(view, {
      now,
      programmed: (scope, generation) => this.#latch.programmed(scope, generation),
      obstacle: (scope) => this.#oversize.get(scope) ?? this.#exhausted.get(scope),
      addresses: () => [statusAddressOf(statusAddress)],
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
      this.#updateStatuses();
      this.#watchExpiry(this.#options.clock.now());
    }, Math.min(next - now, LONGEST_TIMER));
  }

  /** Fleet ports for the declared ones; nothing is worked out when neither these nor those changed. */
  #allocate({ ports }: IncrementalResult): void {
    const { clock, preferredPort, log } = this.#options;
    const now = clock.monotonic();
    for (const [port, until] of this.#quarantine) {
      if (until <= now) this.#quarantine.delete(port);
    }
    const unusable = new Set(this.#quarantine.keys());
    const last = this.#allocation;
    if (last.ports === ports && last.unusable === [...unusable].join()) return;
    const requests = [...ports].map(([scope, declared]) => ({ scope, ports: declared }));
    const { binds, exhausted } = allocateBinds(requests, {
      previous: last.binds,
      unusable,
      preferred: preferredPort,
    });
    for (const { scope, port } of exhausted) log.error("no_fleet_port_left", { scope, port });
    this.#exhausted = new Map(
      exhausted.map(({ scope, port }) => [scope, `no port of the fleet is left for port ${port}`]),
    );
    const maps = new Map([...binds].map(([scope, own]) => [scope, bindMap(own)]));
    this.#allocation = { ports, unusable: [...unusable].join(), binds, maps };
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
    this.#latch.retain(new Set(published.scopes.keys()));
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
    const { clock, controllerName, metrics } = this.#options;
    const { statuses } = this.#compile(this.#store.view());
    const changed = this.#desired === undefined
      ? statuses.keys()
      : statuses.changedSince(this.#desired);
    for (const key of changed) {
      const desired = statuses.get(key);
      if (desired === undefined) {
        this.#statuses.delete(key);
        continue;
      }
      const before = this.#statuses.get(key);
      const after = mergeStatus(before, desired, { now: clock.now(), controllerName });
      if (after === before) continue;
      this.#statuses.set(key, after);
      metrics.statusUpdates.inc();
    }
    this.#desired = statuses;
  }
}
