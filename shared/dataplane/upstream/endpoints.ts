/** Which addresses are behind an endpoint set now, outside of the immutable table. */
import { isIP } from "node:net";
import { UNIX_ADDRESS } from "../../snapshot/schema.ts";
import type { Endpoint, EndpointSet } from "../../snapshot/schema.ts";
import type { NameResolver } from "./name_resolver.ts";

/** One endpoint set, ready to pick from. */
export interface EndpointGroup {
  readonly key: string;
  /** In rotation: ready and not terminating, else still serving while terminating. */
  readonly active: readonly Endpoint[];
  /** Where the next pick is; round robin. */
  next: number;
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
  /** Follows host names; without it they are resolved when a connection is made. */
  names?: Pick<NameResolver, "follow" | "unfollow" | "addresses">;
}

/** Endpoint sets by key. A pick is O(1); a change costs work proportional to its own set. */
export class EndpointRegistry {
  readonly #groups = new Map<string, EndpointGroup>();
  /** Address → number of sets that name it. */
  readonly #references = new Map<string, number>();
  readonly #sets = new Map<string, readonly Endpoint[]>();
  /** Key → its endpoints with names replaced by the addresses behind them. */
  readonly #resolved = new Map<string, readonly Endpoint[]>();
  /** Host name → keys of the sets that name it. */
  readonly #named = new Map<string, Set<string>>();
  readonly #random: () => number;
  readonly #observer: AddressObserver | undefined;
  readonly #names: EndpointRegistryOptions["names"];

  constructor(options: EndpointRegistryOptions = {}) {
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
    for (const endpoint of this.#resolved.get(key) ?? []) this.#reference(endpoint, -1);
    this.#resolved.delete(key);
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
    const active = inRotation(endpoints);
    const start = Math.floor(this.#random() * Math.max(1, active.length));
    // References first, so that what stays is never retired in between.
    for (const endpoint of endpoints) this.#reference(endpoint, 1);
    for (const endpoint of this.#resolved.get(key) ?? []) this.#reference(endpoint, -1);
    this.#resolved.set(key, endpoints);
    this.#groups.set(key, { key, active, next: start });
  }

  /** One endpoint per address; a name that was never resolved is left to the connection. */
  #addressed(endpoint: Endpoint): Endpoint[] {
    const addresses = isName(endpoint) ? this.#names?.addresses(endpoint.address) : undefined;
    if (addresses === undefined) return [endpoint];
    return addresses.map((address) => ({ ...endpoint, address }));
  }

  /** The set, or undefined when none was ever received. */
  get(key: string): EndpointGroup | undefined {
    return this.#groups.get(key);
  }

  /** The endpoint for the next request, or undefined when none can take it (answered with 503). */
  pick(key: string): Endpoint | undefined {
    const group = this.#groups.get(key);
    if (group === undefined) return undefined;
    const { active } = group;
    const at = group.next;
    group.next = at + 1 >= active.length ? 0 : at + 1;
    return active[at];
  }

  /**
   * The endpoint for another attempt: one that was not tried, while there is one. Then it is the
   * next in turn, and `tried` begins anew.
   *
   * @param tried `address port` of those that were
   */
  pickOther(key: string, tried: Set<string>): Endpoint | undefined {
    const group = this.#groups.get(key);
    if (group === undefined) return undefined;
    const { active } = group;
    for (let i = 0; i < active.length; i++) {
      const at = (group.next + i) % active.length;
      const endpoint = active[at]!;
      if (tried.has(addressKey(endpoint))) continue;
      group.next = (at + 1) % active.length;
      return endpoint;
    }
    tried.clear();
    return this.pick(key);
  }

  /** Every set, for dumps. */
  entries(): Iterable<[string, readonly Endpoint[]]> {
    return this.#sets.entries();
  }

  #reference(endpoint: Endpoint, by: 1 | -1): void {
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
