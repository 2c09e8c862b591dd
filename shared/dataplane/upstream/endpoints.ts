/** Which addresses are behind an endpoint set now, outside of the immutable table. */
import { isIP } from "node:net";
import { UNIX_ADDRESS } from "../../snapshot/schema.ts";
import type { Endpoint, EndpointSet } from "../../snapshot/schema.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { type HealthLimits, type HealthObserver, SetHealth } from "./endpoint_health.ts";
import type { NameResolver } from "./name_resolver.ts";
import { Place } from "./place.ts";
import { type LoadLimits, SetLoad } from "./set_load.ts";

/** One endpoint set as the proxy uses it. */
interface Group {
  readonly health: SetHealth;
  readonly load: SetLoad;
}

/** Told about addresses that come and go, so that idle connections to those gone are closed. */
export interface AddressObserver {
  setRetired(target: { address: string; port: number }, retired: boolean): void;
}

/** Settings of the registry. */
export interface EndpointRegistryOptions {
  /** In [0, 1): where a new set's rotation starts, so that proxies do not all start at the first. */
  random?: () => number;
  observer?: AddressObserver;
  limits?: HealthLimits & LoadLimits;
  clock?: Pick<Clock, "monotonic">;
  /** Who is told of the health of the set with this key. */
  health?: (key: string) => HealthObserver;
  /** Follows host names; without it they are resolved when a connection is made. */
  names?: Pick<NameResolver, "follow" | "unfollow" | "addresses">;
}

/** Endpoint sets by key. A pick is O(1); a change costs work proportional to its own set. */
export class EndpointRegistry {
  readonly #groups = new Map<string, Group>();
  /** Address → number of sets that have it in rotation. */
  readonly #references = new Map<string, number>();
  readonly #sets = new Map<string, readonly Endpoint[]>();
  /** Host name → keys of the sets that name it. */
  readonly #named = new Map<string, Set<string>>();
  readonly #random: () => number;
  readonly #observer: AddressObserver | undefined;
  readonly #names: EndpointRegistryOptions["names"];
  readonly #options: EndpointRegistryOptions;

  constructor(options: EndpointRegistryOptions = {}) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#observer = options.observer;
    this.#names = options.names;
  }

  /** Adds or replaces a set. */
  setEndpoints(key: string, set: EndpointSet): void {
    const before = this.#sets.get(key) ?? [];
    this.#sets.set(key, set.endpoints);
    this.#follow(key, { before, after: set.endpoints });
    this.#resolve(key);
  }

  removeEndpoints(key: string): void {
    this.#follow(key, { before: this.#sets.get(key) ?? [], after: [] });
    const health = this.#groups.get(key)?.health;
    for (const place of health?.places ?? []) this.#reference(place, -1);
    health?.setPlaces([], 0);
    this.#sets.delete(key);
    this.#groups.delete(key);
  }

  /** The addresses behind a name are others: the sets that name it have other endpoints. */
  nameChanged(name: string): void {
    for (const key of this.#named.get(name) ?? []) this.#resolve(key);
  }

  /** Follows the names of a set, and no longer those that it had. */
  #follow(
    key: string,
    { before, after }: { before: readonly Endpoint[]; after: readonly Endpoint[] },
  ): void {
    const [old, now] = [namesOf(before), namesOf(after)];
    for (const name of now) {
      if (old.has(name)) continue;
      const keys = this.#named.get(name) ?? new Set();
      this.#named.set(name, keys.add(key));
      if (keys.size === 1) this.#names?.follow(name);
    }
    for (const name of old) {
      if (now.has(name)) continue;
      const keys = this.#named.get(name);
      keys?.delete(key);
      if (keys?.size !== 0) continue;
      this.#named.delete(name);
      this.#names?.unfollow(name);
    }
  }

  #resolve(key: string): void {
    const endpoints = (this.#sets.get(key) ?? []).flatMap((endpoint) => this.#addressed(endpoint));
    const group = this.#group(key);
    const { places: before } = group.health;
    const known = new Map(before.map((place) => [addressKey(place), place]));
    const places = new Map<string, Place>();
    for (const endpoint of inRotation(endpoints)) {
      const address = addressKey(endpoint);
      places.set(address, known.get(address) ?? new Place(endpoint, group));
    }
    const rotation = [...places.values()];
    // References first, so that what stays is never retired in between.
    for (const place of rotation) this.#reference(place, 1);
    for (const place of before) this.#reference(place, -1);
    group.health.setPlaces(rotation, this.#random());
  }

  #group(key: string): Group {
    const existing = this.#groups.get(key);
    if (existing !== undefined) return existing;
    const { limits = DEFAULT_LIMITS, clock = systemClock, health } = this.#options;
    const told = health === undefined ? {} : { observer: health(key) };
    const group = {
      health: new SetHealth({ limits, clock, random: this.#random, ...told }),
      load: new SetLoad(limits),
    };
    this.#groups.set(key, group);
    return group;
  }

  /** One endpoint per address; a name that was never resolved is left to the connection. */
  #addressed(endpoint: Endpoint): Endpoint[] {
    const addresses = isName(endpoint) ? this.#names?.addresses(endpoint.address) : undefined;
    if (addresses === undefined) return [endpoint];
    return addresses.map((address) => ({ ...endpoint, address }));
  }

  /** The endpoint for the next request, or undefined when none can take it (answered with 503). */
  pick(key: string): Place | undefined {
    return this.#groups.get(key)?.health.pick();
  }

  /** The next in turn that was not tried, or undefined when all were. */
  pickUntried(key: string, tried: ReadonlySet<Place>): Place | undefined {
    return this.#groups.get(key)?.health.pickUntried(tried);
  }

  /**
   * The endpoint for another attempt: one that was not tried, while there is one. Then it is the
   * next in turn, and `tried` begins anew.
   */
  pickOther(key: string, tried: Set<Place>): Place | undefined {
    const untried = this.pickUntried(key, tried);
    if (untried !== undefined) return untried;
    tried.clear();
    return this.pick(key);
  }

  /** Does a set have this address in rotation? */
  inRotation(target: { address: string; port: number }): boolean {
    return this.#references.has(addressKey(target));
  }

  /** What the proxy itself sees of every set, for metrics and dumps. */
  observed(): Iterable<[string, Group]> {
    return this.#groups.entries();
  }

  /** Every set, for dumps. */
  entries(): Iterable<[string, readonly Endpoint[]]> {
    return this.#sets.entries();
  }

  #reference(endpoint: { address: string; port: number }, by: 1 | -1): void {
    const key = addressKey(endpoint);
    const count = (this.#references.get(key) ?? 0) + by;
    if (count > 0) this.#references.set(key, count);
    else this.#references.delete(key);
    if (count === 0) this.#observer?.setRetired(endpoint, true);
    else if (count === 1 && by === 1) this.#observer?.setRetired(endpoint, false);
  }
}

/** `address port`: what one place of an endpoint set is known by. */
export function addressKey({ address, port }: { address: string; port: number }): string {
  return `${address} ${port}`;
}

function isName({ address }: Endpoint): boolean {
  return isIP(address) === 0 && !address.startsWith(UNIX_ADDRESS);
}

function namesOf(endpoints: readonly Endpoint[]): Set<string> {
  return new Set(endpoints.filter(isName).map(({ address }) => address));
}

/**
 * Ready endpoints; when there are none, those that still serve while they terminate, as kube-proxy
 * does (KEP-1669).
 */
function inRotation(endpoints: readonly Endpoint[]): Endpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready && !endpoint.terminating);
  if (ready.length > 0) return ready;
  return endpoints.filter((endpoint) => endpoint.serving && endpoint.terminating);
}
