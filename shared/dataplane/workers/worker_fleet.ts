/**
 * Several workers as one data plane: one subscription and one verification per proxy, every worker
 * with tables and sockets of its own. A swap is broadcast, and is done when all have swapped.
 */
import { backoff } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import { errorMessage } from "../../lib/log.ts";
import type { LogFields, Logger, LogLevel } from "../../lib/log.ts";
import type { BindMap, EndpointSet } from "../../snapshot/schema.ts";
import type {
  OpenedCertificate,
  Swap,
  TrustedAuthorities,
  VerifiedSnapshot,
} from "../apply/types.ts";
import type { DataPlaneHost } from "../host.ts";
import type { AccessLogSink } from "../observe/access_log.ts";
import { ProxyMetrics } from "../observe/metrics.ts";
import type { MetricData } from "../observe/metrics.ts";
import type { Limits } from "../request/limits.ts";
import type { BindFailure } from "../serve/listeners.ts";
import { sumMetrics } from "./metrics_sum.ts";
import { PortGuard } from "./port_guard.ts";
import type { Command, SnapshotMessage, WorkerState } from "./protocol.ts";
import { WorkerGoneError, WorkerLink } from "./worker_link.ts";

export interface WorkerFleetOptions {
  /** Number of workers, at least 1. */
  workers: number;
  bindAddress: string;
  /** Of the whole proxy. */
  limits: Limits;
  /** File descriptors that the process may have; absent = not known. */
  openFiles?: number;
  clock: Clock;
  log: Logger;
  /** What the workers' own loggers start with. */
  logging: { component: string; level: LogLevel; fields: LogFields };
  /** Null: no access log. */
  accessLog: AccessLogSink | null;
  /** Default false. */
  tracing?: boolean;
}

/** Milliseconds; a compile of everything is the longest that a worker is busy. */
const ANSWER_TIMEOUT = 30_000;
/** The one that has the sockets of UDP: the system would give all datagrams to one of several. */
const DATAGRAM_WORKER = 0;
/** Between starts of a worker that ends again and again, and between looks at a taken port. */
const RETRY = { initial: 100, max: 10_000 };

interface Slot {
  readonly index: number;
  link: WorkerLink | undefined;
  state: WorkerState;
  restarts: number;
}

const NOTHING_BOUND: WorkerState = {
  complete: false,
  bindFailures: [],
  bound: { connections: [], datagrams: [] },
};

export class WorkerFleet implements DataPlaneHost {
  readonly #options: WorkerFleetOptions;
  readonly #slots: Slot[];
  readonly #metrics: ProxyMetrics;
  readonly #guard: PortGuard;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  // What is in force: a worker that starts again is told all of it.
  readonly #snapshots = new Map<string, VerifiedSnapshot>();
  readonly #endpoints = new Map<string, EndpointSet>();
  readonly #binds = new Map<string, BindMap>();
  readonly #certificates = new Map<string, OpenedCertificate>();
  readonly #trust = new Map<string, TrustedAuthorities>();
  #logLevel: LogLevel;
  #bindRetries = 0;
  #bindRetry: ReturnType<typeof setTimeout> | undefined;
  #ending = false;
  #closed = false;

  private constructor(options: WorkerFleetOptions) {
    this.#options = options;
    this.#logLevel = options.logging.level;
    this.#guard = new PortGuard(options.bindAddress);
    this.#metrics = new ProxyMetrics({ clock: options.clock });
    this.#slots = Array.from({ length: options.workers }, (_, index) => ({
      index,
      link: undefined,
      state: NOTHING_BOUND,
      restarts: 0,
    }));
  }

  /** Starts every worker. Rejects when one does not start. */
  static async start(options: WorkerFleetOptions): Promise<WorkerFleet> {
    const fleet = new WorkerFleet(options);
    try {
      await Promise.all(fleet.#slots.map((slot) => fleet.#startWorker(slot)));
    } catch (error) {
      await fleet.close();
      throw error;
    }
    return fleet;
  }

  async prepare(snapshot: VerifiedSnapshot): Promise<Swap> {
    const message = snapshotMessage(snapshot, this.#snapshots.has(snapshot.scope));
    await this.#all((link) => link.ask({ kind: "prepare", snapshot: message }));
    return () => this.#swap(snapshot);
  }

  removeScope(scope: string): void {
    this.#snapshots.delete(scope);
    this.#binds.delete(scope);
    this.#tell({ kind: "removeScope", scope });
    this.#claimPorts();
  }

  setEndpoints(key: string, set: EndpointSet): void {
    this.#endpoints.set(key, set);
    this.#tell({ kind: "endpoints", key, set });
  }

  removeEndpoints(key: string): void {
    this.#endpoints.delete(key);
    this.#tell({ kind: "removeEndpoints", key });
  }

  async setBinds(scope: string, binds: BindMap): Promise<void> {
    this.#binds.set(scope, binds);
    this.#claimPorts();
    await this.#bind(scope);
  }

  setCertificate(certificate: OpenedCertificate): void {
    this.#certificates.set(certificate.slot, certificate);
    this.#tell({ kind: "certificate", certificate });
  }

  removeCertificate(slot: string): void {
    this.#certificates.delete(slot);
    this.#tell({ kind: "removeCertificate", slot });
  }

  setTrust(authorities: TrustedAuthorities): void {
    this.#trust.set(authorities.slot, authorities);
    this.#tell({ kind: "trust", authorities });
  }

  removeTrust(slot: string): void {
    this.#trust.delete(slot);
    this.#tell({ kind: "removeTrust", slot });
  }

  bindFailures(): BindFailure[] {
    const failures = new Map<string, BindFailure>();
    const add = (failure: BindFailure) => failures.set(`${failure.scope} ${failure.port}`, failure);
    for (const { state } of this.#slots) for (const failure of state.bindFailures) add(failure);
    for (const [scope, { ports }] of this.#binds) {
      for (const { port, fleetPort } of ports) {
        const error = this.#guard.refused.get(fleetPort);
        if (error !== undefined) add({ scope, port, fleetPort, error });
      }
    }
    return [...failures.values()];
  }

  /**
   * Ports that every worker accepts connections on, since one alone would leave the rest of the cores
   * idle; and those of datagrams, which one worker has.
   */
  boundPorts(): number[] {
    const [first, ...rest] = this.#slots.map(({ state }) => new Set(state.bound.connections));
    const shared = [...first ?? []].filter((port) => rest.every((ports) => ports.has(port)));
    return [...shared, ...this.#slots.flatMap(({ state }) => state.bound.datagrams)];
  }

  complete(): boolean {
    return this.#slots.every(({ link, state }) => link !== undefined && state.complete);
  }

  applyError(reason: string): void {
    this.#metrics.applyError(reason);
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#tell({ kind: "logLevel", level });
  }

  announceEnd(): void {
    this.#ending = true;
    this.#tell({ kind: "announceEnd" });
  }

  async expose(): Promise<{ contentType: string; text: string }> {
    const answers = await this.#all((link) => link.ask({ kind: "metrics" }));
    // The worker is this very program: what it answers to this question has this type.
    return await sumMetrics([await this.#metrics.json(), ...answers as MetricData[][]]);
  }

  async dump(): Promise<Record<string, unknown>> {
    const dumps = await this.#all((link) => link.ask({ kind: "dump" }));
    const [first] = dumps as Record<string, unknown>[];
    // All serve the same; what differs is who holds which connections, and that the first has UDP.
    const workers = dumps.map((dump) => (dump as Record<string, unknown>).connections);
    return { ...first, workers };
  }

  /** Ends a worker as if it had ended by itself, which starts it again. */
  endWorker(index: number): void {
    this.#slots[index]?.link?.fail("ended on request");
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#bindRetry);
    await this.#all((link) => link.ask({ kind: "close" })).catch((error) => {
      this.#options.log.warn("worker_not_drained", { error: errorMessage(error) });
    });
    for (const { link } of this.#slots) link?.terminate();
  }

  /** Asks every worker that is there. One that ends meanwhile is told everything when it is back. */
  async #all(ask: (link: WorkerLink) => Promise<unknown>): Promise<unknown[]> {
    const answers = await Promise.all(this.#slots.map(async ({ link }) => {
      if (link === undefined) return [];
      try {
        return [await ask(link)];
      } catch (error) {
        if (error instanceof WorkerGoneError) return [];
        throw error;
      }
    }));
    return answers.flat(1);
  }

  #tell(command: Command): void {
    for (const { link } of this.#slots) link?.tell(command);
  }

  async #swap(snapshot: VerifiedSnapshot): Promise<void> {
    const { scope } = snapshot;
    this.#snapshots.set(scope, snapshot);
    await this.#all(async (link) => {
      try {
        await link.ask({ kind: "swap", scope });
      } catch (error) {
        if (error instanceof WorkerGoneError) throw error;
        // It started anew after the preparation.
        await install(link, snapshot).catch((again) =>
          this.#options.log.error("worker_not_swapped", { scope, error: errorMessage(again) })
        );
      }
    });
  }

  async #bind(scope: string): Promise<void> {
    const binds = this.#allowed(scope);
    if (binds === undefined) return;
    await this.#all((link) => link.ask({ kind: "binds", scope, binds }));
  }

  /** The binds of a scope without the ports that somebody else has. */
  #allowed(scope: string): BindMap | undefined {
    const binds = this.#binds.get(scope);
    if (binds === undefined) return undefined;
    const { refused } = this.#guard;
    return { ...binds, ports: binds.ports.filter(({ fleetPort }) => !refused.has(fleetPort)) };
  }

  #claimPorts(): void {
    const wanted = new Set<number>();
    for (const { ports } of this.#binds.values()) {
      for (const { fleetPort } of ports) wanted.add(fleetPort);
    }
    this.#guard.claim(wanted);
    if (this.#guard.refused.size === 0) this.#bindRetries = 0;
    else this.#retryBinds();
  }

  #retryBinds(): void {
    if (this.#bindRetry !== undefined || this.#closed) return;
    this.#bindRetry = setTimeout(() => {
      this.#bindRetry = undefined;
      this.#claimPorts();
      for (const scope of this.#binds.keys()) void this.#bind(scope);
    }, backoff(this.#bindRetries++, RETRY));
  }

  async #startWorker(slot: Slot): Promise<void> {
    const { workers, bindAddress, limits, openFiles, logging, accessLog, log } = this.#options;
    const link = new WorkerLink({
      name: `worker-${slot.index}`,
      answerTimeout: ANSWER_TIMEOUT,
      onState: (state) => slot.state = state,
      onAccessLog: (bytes) => accessLog?.write(bytes) ?? Promise.resolve(),
      onGone: (reason) => {
        slot.link = undefined;
        slot.state = NOTHING_BOUND;
        log.error("worker_gone", { worker: slot.index, error: reason });
        this.#metrics.workerRestarts++;
        this.#restartLater(slot);
      },
    });
    const maxConnections = Math.ceil(limits.maxConnections / workers);
    const fields = { ...logging.fields, worker: slot.index };
    await link.ask({
      kind: "start",
      config: {
        bindAddress,
        datagrams: slot.index === DATAGRAM_WORKER,
        limits: { ...limits, maxConnections },
        ...(openFiles === undefined ? {} : { openFiles: Math.floor(openFiles / workers) }),
        accessLog: accessLog !== null,
        tracing: this.#options.tracing ?? false,
        log: { ...logging, level: this.#logLevel, fields },
      },
    });
    if (this.#closed) return link.terminate();
    // From here on it hears what everybody hears; what was before is told now, in this turn.
    slot.link = link;
    if (this.#ending) link.tell({ kind: "announceEnd" });
    for (const [key, set] of this.#endpoints) link.tell({ kind: "endpoints", key, set });
    for (const certificate of this.#certificates.values()) {
      link.tell({ kind: "certificate", certificate });
    }
    for (const authorities of this.#trust.values()) link.tell({ kind: "trust", authorities });
    const scopes = [...this.#snapshots.values()].map((snapshot) => install(link, snapshot));
    const binds = [...this.#binds.keys()].map((scope) => {
      const allowed = this.#allowed(scope);
      return allowed && link.ask({ kind: "binds", scope, binds: allowed });
    });
    await Promise.all([...scopes, ...binds]);
  }

  #restartLater(slot: Slot): void {
    if (this.#closed) return;
    const timer = setTimeout(async () => {
      this.#timers.delete(timer);
      try {
        await this.#startWorker(slot);
        slot.restarts = 0;
        this.#options.log.info("worker_restarted", { worker: slot.index });
      } catch (error) {
        this.#options.log.error("worker_not_started", {
          worker: slot.index,
          error: errorMessage(error),
        });
        slot.link?.terminate();
        slot.link = undefined;
        this.#restartLater(slot);
      }
    }, backoff(slot.restarts++, RETRY));
    this.#timers.add(timer);
  }
}

/** Prepares and swaps a whole snapshot on one worker. */
async function install(link: WorkerLink, snapshot: VerifiedSnapshot): Promise<void> {
  const prepared = link.ask({ kind: "prepare", snapshot: snapshotMessage(snapshot, false) });
  const swapped = link.ask({ kind: "swap", scope: snapshot.scope });
  await Promise.all([prepared, swapped]);
}

function snapshotMessage(
  { resources, changed, ...version }: VerifiedSnapshot,
  delta: boolean,
): SnapshotMessage {
  if (changed === undefined || !delta) {
    return { ...version, whole: true, set: [...resources], deleted: [] };
  }
  const message: SnapshotMessage = { ...version, whole: false, set: [], deleted: [] };
  for (const id of changed) {
    const resource = resources.get(id);
    if (resource === undefined) message.deleted.push(id);
    else message.set.push([id, resource]);
  }
  return message;
}
