/**
 * Which of several controllers leads: the one whose name is in a Lease of coordination.k8s.io/v1.
 * Clocks of different machines are never compared: a Lease has expired when it did not change for
 * its own duration, by the clock of whoever watches it.
 */
import type { Clock } from "../../../shared/lib/clock.ts";
import { errorMessage, type Logger } from "../../../shared/lib/log.ts";
import { asRecord } from "../decode/decoder.ts";
import { type KubeApi, KubeApiError } from "./api.ts";
import { objectPath, type ObjectPlace } from "./resource.ts";
import { CollectionWatch } from "./watch.ts";

export interface LeaseTimes {
  /** Milliseconds that a Lease is valid after its last renewal. */
  duration: number;
  /** Milliseconds after the last renewal at which a leader gives up: less than the duration. */
  deadline: number;
  /** Milliseconds between renewals. */
  renew: number;
}

export const LEASE_TIMES: LeaseTimes = { duration: 4_000, deadline: 3_000, renew: 1_000 };

export interface LeaseOptions {
  api: Pick<KubeApi, "request" | "open">;
  namespace: string;
  name: string;
  /** Unique among the controllers: the pod's name. */
  identity: string;
  times?: LeaseTimes;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Remembered with the Lease for whoever leads next; asked at every renewal. */
  note: () => string | undefined;
}

const LEASES = { group: "coordination.k8s.io", version: "v1", plural: "leases" };
/** The note stands in this annotation. */
const NOTE = "gateway.lightapi.net/lineage";

/** A Lease as it was last seen. */
interface Seen {
  resourceVersion: string;
  holder: string;
  transitions: number;
  note: string | undefined;
  acquired: string | undefined;
  /** Monotonic milliseconds at which this state was first seen. */
  since: number;
  /** By the Lease itself, milliseconds. */
  duration: number;
}

/** Runs for the Lease from construction until closed. */
export class LeaseElection {
  readonly #options: LeaseOptions;
  readonly #times: LeaseTimes;
  readonly #place: ObjectPlace;
  readonly #closing = new AbortController();
  readonly #elected = Promise.withResolvers<string | undefined>();
  readonly #lost = Promise.withResolvers<string>();
  readonly #watch: CollectionWatch;
  readonly #running: Promise<void>;
  #seen: Seen | undefined;
  #leading = false;
  /** Monotonic milliseconds until which nobody else can have taken it. */
  #validUntil = 0;
  #wake: () => void = () => {};

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#times = options.times ?? LEASE_TIMES;
    const { api, namespace, name, clock, random } = options;
    this.#place = { resource: LEASES, namespace, name };
    // A Lease that is released is seen at once, not at the next look.
    this.#watch = new CollectionWatch({
      api,
      clock,
      random,
      resource: LEASES,
      selection: { namespace, name },
      handler: {
        listed: (objects) => this.#see(objects[0]?.body),
        changed: (changes) => {
          const last = changes.at(-1);
          this.#see(last?.kind === "set" ? last.object.body : undefined);
        },
        ended: () => {},
      },
    });
    this.#running = this.#run();
  }

  /** Resolves when this controller leads, with the note of the one before. */
  get elected(): Promise<string | undefined> {
    return this.#elected.promise;
  }

  /** Resolves, with the reason, when it leads no more: nothing may be written from then on. */
  get lost(): Promise<string> {
    return this.#lost.promise;
  }

  /**
   * False as soon as another controller may hold the Lease, whether that is known here or not: a
   * process that was stopped wakes up with everything due that it had planned.
   */
  get valid(): boolean {
    return this.#leading && this.#options.clock.monotonic() < this.#validUntil;
  }

  /** Gives the Lease up, so that another can take it at once, and ends. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#running;
    await this.#watch.close();
    const seen = this.#seen;
    if (!this.#leading || seen === undefined) return;
    this.#leading = false;
    try {
      // A holder of nobody, and a duration that is over at once.
      await this.#put({ seen, holder: "", duration: 1_000, timeout: 1_000 });
    } catch (error) {
      this.#options.log.warn("lease_not_released", { error: errorMessage(error) });
    }
  }

  #see(body: Readonly<Record<string, unknown>> | undefined): void {
    if (body === undefined) {
      this.#seen = undefined;
      return this.#wake();
    }
    const metadata = asRecord(body.metadata) ?? {};
    const spec = asRecord(body.spec) ?? {};
    const { resourceVersion } = metadata;
    if (typeof resourceVersion !== "string" || resourceVersion === this.#seen?.resourceVersion) {
      return;
    }
    const note = asRecord(metadata.annotations)?.[NOTE];
    const seconds = spec.leaseDurationSeconds;
    this.#seen = {
      resourceVersion,
      holder: typeof spec.holderIdentity === "string" ? spec.holderIdentity : "",
      transitions: typeof spec.leaseTransitions === "number" ? spec.leaseTransitions : 0,
      note: typeof note === "string" ? note : undefined,
      acquired: typeof spec.acquireTime === "string" ? spec.acquireTime : undefined,
      since: this.#options.clock.monotonic(),
      duration: typeof seconds === "number" ? seconds * 1000 : this.#times.duration,
    };
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      if (this.#leading) {
        if (!await this.#hold()) return;
      } else await this.#campaign();
    }
  }

  /** Waits until the Lease is free or has expired, then tries to take it. */
  async #campaign(): Promise<void> {
    const { clock, identity, random } = this.#options;
    const wait = this.#free();
    if (wait > 0) return await this.#sleep(Math.min(wait, this.#times.duration));
    const before = this.#seen;
    try {
      await this.#put({ seen: before, holder: identity, duration: this.#times.duration });
      this.#leading = true;
      this.#options.log.info("leading", { lease: this.#options.name, identity });
      this.#elected.resolve(before?.note);
    } catch (error) {
      if (!(error instanceof KubeApiError) || (error.status !== 409 && error.status !== 0)) {
        this.#options.log.warn("lease_not_taken", { error: errorMessage(error) });
      }
      await this.#read();
      await clock.delay(100 + 200 * random(), this.#closing.signal).catch(() => {});
    }
  }

  /** Milliseconds until it can be taken. */
  #free(): number {
    const seen = this.#seen;
    if (seen === undefined || seen.holder === "") return 0;
    return seen.since + seen.duration - this.#options.clock.monotonic();
  }

  /** Renews once and waits. False when the Lease is lost. */
  async #hold(): Promise<boolean> {
    const { clock, identity, log } = this.#options;
    const until = clock.monotonic() + this.#times.deadline;
    for (;;) {
      const began = clock.monotonic();
      await this.#sleep(this.#times.renew, { through: true });
      if (this.#closing.signal.aborted) return true;
      try {
        const seen = this.#seen;
        if (seen !== undefined && seen.holder !== identity) {
          return this.#lose(`${seen.holder || "nobody"} holds the lease`);
        }
        const { duration } = this.#times;
        const timeout = Math.max(200, until - clock.monotonic());
        await this.#put({ seen, holder: identity, duration, timeout });
        return true;
      } catch (error) {
        if (this.#closing.signal.aborted) return true;
        // Somebody wrote it: read who holds it now.
        if (error instanceof KubeApiError && [404, 409].includes(error.status)) await this.#read();
        else log.warn("lease_not_renewed", { error: errorMessage(error) });
        if (clock.monotonic() >= until) return this.#lose(`not renewed: ${errorMessage(error)}`);
        // Not in a circle when the server answers at once.
        if (clock.monotonic() - began < 100) await this.#sleep(100);
      }
    }
  }

  #lose(reason: string): boolean {
    this.#leading = false;
    this.#options.log.error("lease_lost", { reason });
    this.#lost.resolve(reason);
    return false;
  }

  async #read(): Promise<void> {
    try {
      this.#see(
        await this.#options.api.request({
          method: "GET",
          path: objectPath(this.#place),
          signal: this.#closing.signal,
          timeout: 1_000,
        }),
      );
    } catch (error) {
      if (error instanceof KubeApiError && error.status === 404) this.#seen = undefined;
    }
  }

  async #put(
    { seen, holder, duration, timeout = 2_000 }: {
      seen: Seen | undefined;
      holder: string;
      duration: number;
      timeout?: number;
    },
  ): Promise<void> {
    const { api, namespace, name, clock } = this.#options;
    const now = new Date(clock.now()).toISOString().replace("Z", "000Z");
    const changes = seen !== undefined && seen.holder !== holder && holder !== "";
    const note = this.#options.note() ?? seen?.note;
    const body = {
      apiVersion: `${LEASES.group}/${LEASES.version}`,
      kind: "Lease",
      metadata: {
        name,
        namespace,
        ...(seen === undefined ? {} : { resourceVersion: seen.resourceVersion }),
        ...(note === undefined ? {} : { annotations: { [NOTE]: note } }),
      },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: Math.round(duration / 1000),
        renewTime: now,
        acquireTime: changes ? now : seen?.acquired ?? now,
        leaseTransitions: (seen?.transitions ?? 0) + (changes ? 1 : 0),
      },
    };
    const path = objectPath(this.#place);
    // Others count from when they see it, which is later.
    const sent = clock.monotonic();
    this.#see(
      await api.request(
        seen === undefined
          ? { method: "POST", path: path.slice(0, path.lastIndexOf("/")), body, timeout }
          : { method: "PUT", path, body, timeout },
      ),
    );
    this.#validUntil = sent + duration;
  }

  /** Until the time is over, or (unless `through`) something was seen, or it ends. */
  async #sleep(milliseconds: number, { through = false } = {}): Promise<void> {
    const awake = new AbortController();
    if (!through) this.#wake = () => awake.abort();
    const signal = AbortSignal.any([this.#closing.signal, awake.signal]);
    await this.#options.clock.delay(milliseconds, signal).catch(() => {});
    this.#wake = () => {};
  }
}
