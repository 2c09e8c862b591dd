/**
 * What a proxy sees of the endpoints of one set: passive ejection. Pure but for the clock and the
 * source of randomness that it is given; no timers, what is due is found when one is picked.
 *
 * In use → (failures in a row) → ejected, for a time that doubles with each ejection in a row →
 * probed by one request → in use, or ejected again. At most a share of the set is ejected, and when
 * too few are left all of them are used again: what fails everywhere is not the endpoints' fault.
 */
import type { Clock } from "../../lib/clock.ts";
import type { Limits } from "../request/limits.ts";
import type { Place } from "./place.ts";
import type { Verdict } from "./verdict.ts";

/** The settings that this reads. */
export type HealthLimits = Pick<
  Limits,
  | "ejectAfterFailures"
  | "ejectAfterGatewayErrors"
  | "ejectTime"
  | "maxEjectTime"
  | "maxEjectedPercent"
  | "panicPercent"
>;

/** Why an endpoint was ejected: label `cause` of `lgw_proxy_endpoint_ejections_total`. */
export type EjectionCause =
  /** Connections failed or broke. */
  | "connection"
  /** It answered 502, 503 or 504, or not in time. */
  | "gateway"
  /** The request that was to show that it is back failed. */
  | "probe";

/** Told of what is worth a log line. */
export interface HealthObserver {
  ejected(place: Place, of: { cause: EjectionCause; ms: number }): void;
  back(place: Place): void;
  /** Too few are left, so that all are used; or no longer. */
  panic(on: boolean): void;
}

export interface SetHealthOptions {
  limits: HealthLimits;
  clock: Pick<Clock, "monotonic">;
  /** In [0, 1): so that proxies do not probe at the same time. */
  random: () => number;
  observer?: HealthObserver;
}

/** Share of an ejection's time that is random. */
const JITTER = 0.1;

/** The health of one endpoint set, shared by every route that uses it. */
export class SetHealth {
  /** In rotation, ejected ones included. */
  #places: readonly Place[] = [];
  /** What requests go to: those in use, or all in a panic. */
  #used: readonly Place[] = [];
  #next = 0;
  /** When the next ejected one is due for a probe; infinite when none is ejected. */
  #probeAt = Infinity;
  #ejected = 0;
  #panicking = false;
  /** Ejections so far, by cause. */
  readonly ejections: Record<EjectionCause, number> = { connection: 0, gateway: 0, probe: 0 };
  /** Times that an ejection was due and not made, because the share was used up. */
  withheld = 0;
  /** Times that a panic began. */
  panics = 0;
  readonly #options: SetHealthOptions;

  constructor(options: SetHealthOptions) {
    this.#options = options;
  }

  get places(): readonly Place[] {
    return this.#places;
  }

  /** Number of those that are ejected now. */
  get ejected(): number {
    return this.#ejected;
  }

  /** All are used because too few are left. */
  get panicking(): boolean {
    return this.#panicking;
  }

  /** Replaces the rotation; a place that stays keeps its state. `start` in [0, 1): where to begin. */
  setPlaces(places: readonly Place[], start: number): void {
    const staying = new Set(places);
    for (const place of this.#places) if (!staying.has(place)) place.leave();
    this.#places = places;
    this.#update();
    this.#next = Math.floor(start * Math.max(1, this.#used.length));
  }

  /** For the next request; undefined when the rotation is empty. One that is due is probed first. */
  pick(): Place | undefined {
    if (this.#probeAt !== Infinity) {
      const probe = this.#probe();
      if (probe !== undefined) return probe;
    }
    const used = this.#used;
    const at = this.#next;
    this.#next = at + 1 >= used.length ? 0 : at + 1;
    return used[at];
  }

  /** The next in turn that is not in `tried`; undefined when there is none. Never a probe. */
  pickUntried(tried: ReadonlySet<Place>): Place | undefined {
    const used = this.#used;
    for (let i = 0; i < used.length; i++) {
      const at = (this.#next + i) % used.length;
      const place = used[at]!;
      if (tried.has(place)) continue;
      this.#next = (at + 1) % used.length;
      return place;
    }
    return undefined;
  }

  /** A verdict about a place of the rotation as it is now; see `Place.report()`. */
  reported(place: Place, verdict: Verdict): void {
    if (place.ejected) return this.#reportedOut(place, verdict);
    const { ejectAfterFailures, ejectAfterGatewayErrors } = this.#options.limits;
    switch (verdict) {
      case "good":
        place.failures = place.gatewayErrors = 0;
        return;
      case "connection": {
        const count = ++place.failures;
        return this.#due(place, { cause: "connection", count, at: ejectAfterFailures });
      }
      case "gateway": {
        // Whoever answers can be reached.
        place.failures = 0;
        const count = ++place.gatewayErrors;
        return this.#due(place, { cause: "gateway", count, at: ejectAfterGatewayErrors });
      }
      case "none":
        return;
    }
  }

  /** Of one that is ejected: what became of the probe, or of a request in a panic. */
  #reportedOut(place: Place, verdict: Verdict): void {
    if (verdict === "none") {
      // The probe told nothing: the next request may.
      if (place.probing) place.probeAt = this.#options.clock.monotonic();
      place.probing = false;
      return this.#schedule();
    }
    const bad = verdict === "connection" ||
      (verdict === "gateway" && this.#options.limits.ejectAfterGatewayErrors > 0);
    if (!bad) this.#takeBack(place);
    // In a panic many fail; only the probe's failure counts.
    else if (place.probing) this.#eject(place, "probe");
  }

  #due(place: Place, of: { cause: EjectionCause; count: number; at: number }): void {
    if (of.at === 0 || of.count < of.at) return;
    const { maxEjectedPercent } = this.#options.limits;
    if ((this.#ejected + 1) * 100 > maxEjectedPercent * this.#places.length) {
      if (of.count === of.at) this.withheld++;
      return;
    }
    this.#eject(place, of.cause);
  }

  #eject(place: Place, cause: EjectionCause): void {
    const { limits, clock, random, observer } = this.#options;
    const now = clock.monotonic();
    // A time of rest as long as the last ejection ends the row.
    if (cause !== "probe" && now >= place.restedAt) place.inARow = 0;
    const doubled = limits.ejectTime * 2 ** Math.min(place.inARow, 30);
    const ms = Math.min(limits.maxEjectTime, doubled * (1 + JITTER * random()));
    place.inARow++;
    place.lastEjection = ms;
    place.ejected = true;
    place.probeAt = now + ms;
    place.epoch++;
    place.probing = false;
    place.failures = place.gatewayErrors = 0;
    this.ejections[cause]++;
    this.#update();
    observer?.ejected(place, { cause, ms });
  }

  #takeBack(place: Place): void {
    place.ejected = false;
    place.probing = false;
    place.failures = place.gatewayErrors = 0;
    place.restedAt = this.#options.clock.monotonic() + place.lastEjection;
    this.#update();
    this.#options.observer?.back(place);
  }

  /** One whose time is over, for one request. Without an answer another may try after a while. */
  #probe(): Place | undefined {
    const { clock, limits } = this.#options;
    const now = clock.monotonic();
    if (now < this.#probeAt) return undefined;
    const due = this.#places.find(({ ejected, probeAt }) => ejected && probeAt <= now);
    if (due === undefined) return undefined;
    due.probeAt = now + limits.ejectTime;
    due.epoch++;
    due.probing = true;
    this.#schedule();
    return due;
  }

  /** Works out what is used: work proportional to the set, only when something changed. */
  #update(): void {
    const { panicPercent } = this.#options.limits;
    const places = this.#places;
    const inUse = places.filter(({ ejected }) => !ejected);
    this.#ejected = places.length - inUse.length;
    const panic = this.#ejected > 0 &&
      (inUse.length === 0 || inUse.length * 100 < panicPercent * places.length);
    this.#used = panic ? places : inUse;
    if (this.#next >= this.#used.length) this.#next = 0;
    this.#schedule();
    if (panic === this.#panicking) return;
    this.#panicking = panic;
    if (panic) this.panics++;
    this.#options.observer?.panic(panic);
  }

  #schedule(): void {
    let at = Infinity;
    for (const { ejected, probeAt } of this.#places) if (ejected && probeAt < at) at = probeAt;
    this.#probeAt = at;
  }
}
