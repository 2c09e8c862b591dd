/**
 * Hostname lookup: exact, then wildcards from the longest suffix, then every host. A wildcard
 * stands for one or more whole labels (`*.a.b` matches `x.a.b` and `y.x.a.b`, never `a.b`).
 * Gateway API, HTTPRouteSpec.hostnames and Listener.hostname.
 */
import { compareHostnames, comparePrecedence } from "./precedence.ts";
import { LayeredMap } from "./layered_map.ts";
import { PathIndex } from "./paths.ts";
import type { CandidateChange } from "./paths.ts";
import { LazyQuery } from "./match.ts";
import type { Candidate, RouteRequest, TableListener } from "./types.ts";

/** Values by hostname pattern. Immutable. */
class HostMap<T> {
  readonly #exact: LayeredMap<T>;
  /** Key: the wildcard without its star, `.example.com`. */
  readonly #suffixes: LayeredMap<T>;
  readonly #any: T | undefined;
  /**
   * A host may be as long as a head: only what can be in the map is cut out and hashed. May be longer
   * than what is left: a bound, not a promise.
   */
  readonly #longestSuffix: number;

  private constructor(
    parts: {
      exact: LayeredMap<T>;
      suffixes: LayeredMap<T>;
      any: T | undefined;
      longestSuffix: number;
    },
  ) {
    this.#exact = parts.exact;
    this.#suffixes = parts.suffixes;
    this.#any = parts.any;
    this.#longestSuffix = parts.longestSuffix;
  }

  static empty<T>(): HostMap<T> {
    const none = () => LayeredMap.of<T>(new Map());
    return new HostMap({ exact: none(), suffixes: none(), any: undefined, longestSuffix: 0 });
  }

  get(hostname: string): T | undefined {
    if (hostname === "") return this.#any;
    return hostname.startsWith("*.")
      ? this.#suffixes.get(hostname.slice(1))
      : this.#exact.get(hostname);
  }

  /** The map with other values; undefined takes a hostname out. */
  with(values: ReadonlyMap<string, T | undefined>): HostMap<T> {
    const exact = new Map<string, T | undefined>();
    const suffixes = new Map<string, T | undefined>();
    let any = this.#any;
    let longestSuffix = this.#longestSuffix;
    for (const [hostname, value] of values) {
      if (hostname === "") any = value;
      else if (hostname.startsWith("*.")) {
        suffixes.set(hostname.slice(1), value);
        longestSuffix = Math.max(longestSuffix, hostname.length - 1);
      } else exact.set(hostname, value);
    }
    return new HostMap({
      exact: this.#exact.with(exact),
      suffixes: this.#suffixes.with(suffixes),
      any,
      longestSuffix,
    });
  }

  /** Calls `visit` with each value whose hostname matches, most specific first, until it answers. */
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
  readonly #map: HostMap<TableListener>;
  /** Most specific hostname first. */
  readonly sorted: readonly TableListener[];

  constructor(listeners: readonly TableListener[]) {
    this.sorted = [...listeners].sort((a, b) =>
      compareHostnames(a.hostname, b.hostname) || (a.name < b.name ? -1 : 1)
    );
    // In order of specificity and name, so that of two equal hostnames the first stays.
    const byHost = new Map<string, TableListener>();
    for (const listener of this.sorted) {
      if (!byHost.has(listener.hostname)) byHost.set(listener.hostname, listener);
    }
    this.#map = HostMap.empty<TableListener>().with(byHost);
  }

  find(host: string): TableListener | undefined {
    return this.#map.find(host, (listener) => listener);
  }
}

/** The candidates of one listener, by hostname and path. Immutable. */
export class HostIndex {
  readonly #map: HostMap<PathIndex>;

  private constructor(map: HostMap<PathIndex>) {
    this.#map = map;
  }

  static of(candidates: Iterable<Candidate>): HostIndex {
    return new HostIndex(HostMap.empty<PathIndex>()).with({ removed: [], added: candidates });
  }

  /** The index without some candidates and with others; untouched hostnames are shared. */
  with({ removed, added }: CandidateChange): HostIndex {
    const byHost = new Map<string, { removed: Candidate[]; added: Candidate[] }>();
    const changeOf = (hostname: string) => {
      let change = byHost.get(hostname);
      if (change === undefined) byHost.set(hostname, change = { removed: [], added: [] });
      return change;
    };
    for (const candidate of removed) changeOf(candidate.hostname).removed.push(candidate);
    for (const candidate of added) changeOf(candidate.hostname).added.push(candidate);
    const changed = new Map<string, PathIndex | undefined>();
    for (const [hostname, change] of byHost) {
      const paths = (this.#map.get(hostname) ?? PathIndex.EMPTY).with(change);
      changed.set(hostname, paths.size === 0 ? undefined : paths);
    }
    return new HostIndex(this.#map.with(changed));
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
