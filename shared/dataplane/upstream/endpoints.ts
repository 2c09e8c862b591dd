/** Which addresses are behind an endpoint set now, outside of the immutable table. */
import type { Endpoint, EndpointSet } from "../../snapshot/schema.ts";

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
}

/** Endpoint sets by key. A pick is O(1); a change costs work proportional to its own set. */
export class EndpointRegistry {
  readonly #groups = new Map<string, EndpointGroup>();
  /** Address → number of sets that name it. */
  readonly #references = new Map<string, number>();
  readonly #sets = new Map<string, readonly Endpoint[]>();
  readonly #random: () => number;
  readonly #observer: AddressObserver | undefined;

  constructor(options: EndpointRegistryOptions = {}) {
    this.#random = options.random ?? Math.random;
    this.#observer = options.observer;
  }

  /** Adds or replaces a set. */
  setEndpoints(key: string, set: EndpointSet): void {
    const active = inRotation(set.endpoints);
    const start = Math.floor(this.#random() * Math.max(1, active.length));
    // References first, so that what stays is never retired in between.
    for (const endpoint of set.endpoints) this.#reference(endpoint, 1);
    for (const endpoint of this.#sets.get(key) ?? []) this.#reference(endpoint, -1);
    this.#sets.set(key, set.endpoints);
    this.#groups.set(key, { key, active, next: start });
  }

  removeEndpoints(key: string): void {
    for (const endpoint of this.#sets.get(key) ?? []) this.#reference(endpoint, -1);
    this.#sets.delete(key);
    this.#groups.delete(key);
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

  /** Every set, for dumps. */
  entries(): Iterable<[string, readonly Endpoint[]]> {
    return this.#sets.entries();
  }

  #reference(endpoint: Endpoint, by: 1 | -1): void {
    const key = `${endpoint.address} ${endpoint.port}`;
    const count = (this.#references.get(key) ?? 0) + by;
    if (count > 0) this.#references.set(key, count);
    else this.#references.delete(key);
    if (count === 0) this.#observer?.setRetired(endpoint, true);
    else if (count === 1 && by === 1) this.#observer?.setRetired(endpoint, false);
  }
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
