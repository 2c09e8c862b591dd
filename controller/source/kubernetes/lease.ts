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
  /**
   * Monotonic milliseconds before which a Lease that was deleted is not free: whoever held it may
   * not know yet.
   */
  #reserved = 0;
  /** Monotonic milliseconds at which the last renewal that succeeded was sent. */
  #renewed = 0;
  #leading = false;
  /** What was complained of last: said once, however often it is tried. */
  #complained = "";
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
    const until = this.#renewed + this.#times.duration;
    return this.#leading && this.#options.clock.monotonic() < until;
  }

  /** Gives the Lease up, so that another can take it at once, and ends. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#running;
    await this.#watch.close();
    const seen = this.#seen;
    const { identity } = this.#options;
    const leading = this.#leading;
    this.#leading = false;
    // What another has taken meanwhile is not ours to give.
    if (!leading || seen?.holder !== identity) return;
    try {
      // A holder of nobody, and a duration that is over at once.
      await this.#put({ seen, holder: "", duration: 1_000, timeout: 1_000 });
    } catch (error) {
      this.#options.log.warn("lease_not_released", { error: errorMessage(error) });
    }
  }

  #see(body: Readonly<Record<string, unknown>> | undefined): void {
    if (body === undefined) {
      this.#forget();
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

  /** The Lease is not there. Its holder still has the time that it had. */
  #forget(): void {
    const seen = this.#seen;
    this.#seen = undefined;
    if (seen === undefined || seen.holder === "") return;
    this.#reserved = Math.max(this.#reserved, seen.since + seen.duration);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    // To try without a look would cost a refusal and a wait where somebody leads already.
    await this.#read();
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
    const sent = clock.monotonic();
    try {
      await this.#put({
        seen: before,
        holder: identity,
        duration: this.#times.duration,
        timeout: Math.min(2_000, this.#times.deadline),
      });
      this.#renewed = sent;
      this.#leading = true;
      this.#complained = "";
      this.#options.log.info("leading", { lease: this.#options.name, identity });
      this.#elected.resolve(before?.note);
    } catch (error) {
      if (!(error instanceof KubeApiError) || (error.status !== 409 && error.status !== 0)) {
        this.#complain("lease_not_taken", error);
      }
      await this.#read();
      await clock.delay(100 + 200 * random(), this.#closing.signal).catch(() => {});
    }
  }

  /** Milliseconds until it can be taken. */
  #free(): number {
    const seen = this.#seen;
    const now = this.#options.clock.monotonic();
    if (seen === undefined) return this.#reserved - now;
    return seen.holder === "" ? 0 : seen.since + seen.duration - now;
  }

  /** Renews once and waits. False when the Lease is lost. */
  async #hold(): Promise<boolean> {
    const { clock, identity } = this.#options;
    const { duration, deadline, renew } = this.#times;
    // From when it was sent, not from its answer: others count from when it was stored.
    const until = this.#renewed + deadline;
    const left = () => until - clock.monotonic();
    let pause = this.#renewed + renew - clock.monotonic();
    let reason = "the machine stood still";
    for (;;) {
      await this.#sleep(Math.max(0, Math.min(pause, left())), { until: () => this.#taken });
      if (this.#closing.signal.aborted) return true;
      if (this.#taken) return this.#lose(`${this.#seen?.holder || "nobody"} holds the lease`);
      if (left() <= 0) return this.#lose(`not renewed: ${reason}`);
      const sent = clock.monotonic();
      try {
        await this.#put({ seen: this.#seen, holder: identity, duration, timeout: left() });
        this.#renewed = sent;
        this.#complained = "";
        return true;
      } catch (error) {
        if (this.#closing.signal.aborted) return true;
        reason = errorMessage(error);
        // Somebody wrote it: read who holds it now.
        if (error instanceof KubeApiError && [404, 409].includes(error.status)) {
          await this.#read(left());
        } else this.#complain("lease_not_renewed", error);
        // Not in a circle when the server answers at once.
        pause = 100;
      }
    }
  }

  /** Does somebody else hold it? */
  get #taken(): boolean {
    return this.#seen !== undefined && this.#seen.holder !== this.#options.identity;
  }

  #complain(event: string, error: unknown): void {
    const message = errorMessage(error);
    if (message === this.#complained) return;
    this.#complained = message;
    const { log, namespace } = this.#options;
    const refused = error instanceof KubeApiError && error.status === 403;
    const fix = `grant get, list, watch, create and update on leases in namespace ${namespace}`;
    log.warn(event, { error: message, ...(refused ? { fix } : {}) });
  }

  #lose(reason: string): boolean {
    this.#leading = false;
    this.#options.log.error("lease_lost", { reason });
    this.#lost.resolve(reason);
    return false;
  }

  async #read(timeout = 1_000): Promise<void> {
    try {
      this.#see(
        await this.#options.api.request({
          method: "GET",
          path: objectPath(this.#place),
          signal: this.#closing.signal,
          timeout: Math.max(0, Math.min(timeout, 1_000)),
        }),
      );
    } catch (error) {
      if (error instanceof KubeApiError && error.status === 404) this.#forget();
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
        // Whole seconds, at least one; others wait no shorter than we count on.
        leaseDurationSeconds: Math.max(1, Math.ceil(duration / 1000)),
        renewTime: now,
        acquireTime: changes ? now : seen?.acquired ?? now,
        leaseTransitions: (seen?.transitions ?? 0) + (changes ? 1 : 0),
      },
    };
    const path = objectPath(this.#place);
    this.#see(
      await api.request(
        seen === undefined
          ? { method: "POST", path: path.slice(0, path.lastIndexOf("/")), body, timeout }
          : { method: "PUT", path, body, timeout },
      ),
    );
  }

  /** Until the time is over, or something was seen (that matters), or it ends. */
  async #sleep(milliseconds: number, { until = (): boolean => true } = {}): Promise<void> {
    const awake = new AbortController();
    this.#wake = () => {
      if (until()) awake.abort();
    };
    const signal = AbortSignal.any([this.#closing.signal, awake.signal]);
    await this.#options.clock.delay(milliseconds, signal).catch(() => {});
    this.#wake = () => {};
  }
}
