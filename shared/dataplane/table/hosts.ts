/**
 * Hostname lookup: exact, then wildcards from the longest suffix, then every host. A wildcard
 * stands for one or more whole labels (`*.a.b` matches `x.a.b` and `y.x.a.b`, never `a.b`).
 * Gateway API, HTTPRouteSpec.hostnames and Listener.hostname.
 */
import { compareHostnames, comparePrecedence } from "./precedence.ts";
import { PathIndex } from "./paths.ts";
import { LazyQuery } from "./match.ts";
import type { Candidate, RouteRequest, TableListener } from "./types.ts";

/** Calls `visit` with each value whose hostname matches, most specific first, until it answers. */
class HostMap<T> {
  readonly #exact = new Map<string, T>();
  /** Key: the wildcard without its star, `.example.com`. */
  readonly #suffixes = new Map<string, T>();
  #any: T | undefined;
  /** A host may be as long as a head: only what can be in the map is cut out and hashed. */
  #longestSuffix = 0;

  getOrAdd(hostname: string, make: () => T): T {
    if (hostname === "") return this.#any ??= make();
    const [map, key] = hostname.startsWith("*.")
      ? [this.#suffixes, hostname.slice(1)] as const
      : [this.#exact, hostname] as const;
    let value = map.get(key);
    if (value === undefined) map.set(key, value = make());
    if (map === this.#suffixes) this.#longestSuffix = Math.max(this.#longestSuffix, key.length);
    return value;
  }

  find<R>(host: string, visit: (value: T) => R | undefined): R | undefined {
    const exact = this.#exact.get(host);
    if (exact !== undefined) {
      const result = visit(exact);
      if (result !== undefined) return result;
    }
    if (this.#suffixes.size > 0) {
      const from = Math.max(0, host.length - this.#longestSuffix);
      for (let dot = host.indexOf(".", from); dot !== -1; dot = host.indexOf(".", dot + 1)) {
        if (dot === 0) continue;
        const wildcard = this.#suffixes.get(host.slice(dot));
        if (wildcard === undefined) continue;
        const result = visit(wildcard);
        if (result !== undefined) return result;
      }
    }
    return this.#any === undefined ? undefined : visit(this.#any);
  }

  *values(): Iterable<T> {
    yield* this.#exact.values();
    yield* this.#suffixes.values();
    if (this.#any !== undefined) yield this.#any;
  }
}

/** Picks the listener of a port for a host: the most specific hostname that matches. */
export class ListenerIndex {
  readonly #map = new HostMap<TableListener>();
  /** Most specific hostname first. */
  readonly sorted: readonly TableListener[];

  constructor(listeners: readonly TableListener[]) {
    this.sorted = [...listeners].sort((a, b) =>
      compareHostnames(a.hostname, b.hostname) || (a.name < b.name ? -1 : 1)
    );
    // In order of specificity and name, so that of two equal hostnames the first stays.
    for (const listener of this.sorted) this.#map.getOrAdd(listener.hostname, () => listener);
  }

  find(host: string): TableListener | undefined {
    return this.#map.find(host, (listener) => listener);
  }
}

/** The candidates of one listener, by hostname and path. */
export class HostIndex {
  readonly #map = new HostMap<PathIndex>();

  add(candidate: Candidate): void {
    this.#map.getOrAdd(candidate.hostname, () => new PathIndex()).add(candidate);
  }

  /** Orders every bucket; call once after the last {@linkcode HostIndex.add}. */
  sort(): void {
    for (const paths of this.#map.values()) paths.sort();
  }

  /** The candidate of highest precedence that matches; a host without one falls to the next. */
  find(request: RouteRequest): Candidate | undefined {
    const query = new LazyQuery(request.query);
    return this.#map.find(request.host, (paths) => paths.find(request, query));
  }

  candidates(): Candidate[] {
    return [...this.#map.values()].flatMap((paths) => paths.candidates()).sort(comparePrecedence);
  }
}
