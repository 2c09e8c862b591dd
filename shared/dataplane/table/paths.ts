/**
 * Path lookup for the candidates of one hostname: exact paths in one map, prefixes in another that
 * is asked from the longest path element downwards. Gateway API, HTTPPathMatch: prefixes match by
 * whole path elements and a trailing slash does not count.
 */
import { LayeredMap } from "./layered_map.ts";
import { matchesRest } from "./match.ts";
import type { LazyQuery } from "./match.ts";
import { comparePrecedence } from "./precedence.ts";
import type { Candidate, RouteRequest } from "./types.ts";

const SLASH = 47;

/** Candidates that go and candidates that come. */
export interface CandidateChange {
  /** Told apart by route, rule and match, not by identity. */
  removed: Iterable<Candidate>;
  added: Iterable<Candidate>;
}

type Buckets = LayeredMap<readonly Candidate[]>;

/** Immutable; every bucket is in order of precedence. */
export class PathIndex {
  static readonly EMPTY = new PathIndex({
    exact: LayeredMap.of<readonly Candidate[]>(new Map()),
    prefixes: LayeredMap.of<readonly Candidate[]>(new Map()),
    lengths: new Set(),
  });
  readonly #exact: Buckets;
  /** The prefix `/` among them. */
  readonly #prefixes: Buckets;
  /**
   * Lengths of the prefixes: other parts of a path are not worth cutting out and hashing. May hold
   * lengths of prefixes that are gone: a bound, not a promise.
   */
  readonly #lengths: ReadonlySet<number>;
  readonly #longestPrefix: number;
  readonly #root: readonly Candidate[];

  private constructor(
    parts: { exact: Buckets; prefixes: Buckets; lengths: ReadonlySet<number> },
  ) {
    this.#exact = parts.exact;
    this.#prefixes = parts.prefixes;
    this.#lengths = parts.lengths;
    this.#longestPrefix = Math.max(0, ...parts.lengths);
    this.#root = parts.prefixes.get("/") ?? [];
  }

  /** Number of paths. */
  get size(): number {
    return this.#exact.size + this.#prefixes.size;
  }

  /** The index without some candidates and with others; untouched buckets are shared. */
  with({ removed, added }: CandidateChange): PathIndex {
    const lengths = new Set(this.#lengths);
    const touched = {
      exact: new Map<string, Candidate[]>(),
      prefix: new Map<string, Candidate[]>(),
    };
    const bucketOf = ({ pathType, path }: Candidate): Candidate[] => {
      const own = touched[pathType];
      let bucket = own.get(path);
      if (bucket === undefined) {
        const before = pathType === "exact" ? this.#exact : this.#prefixes;
        own.set(path, bucket = [...before.get(path) ?? []]);
      }
      return bucket;
    };
    for (const candidate of removed) {
      const bucket = bucketOf(candidate);
      const at = bucket.findIndex((other) => isSame(other, candidate));
      if (at >= 0) bucket.splice(at, 1);
    }
    for (const candidate of added) {
      bucketOf(candidate).push(candidate);
      if (candidate.pathType === "prefix") lengths.add(candidate.path.length);
    }
    return new PathIndex({
      exact: this.#exact.with(inOrder(touched.exact)),
      prefixes: this.#prefixes.with(inOrder(touched.prefix)),
      lengths,
    });
  }

  find(request: RouteRequest, query: LazyQuery): Candidate | undefined {
    const { path } = request;
    if (this.#exact.size > 0) {
      const found = first(this.#exact.get(path), request, query);
      if (found !== undefined) return found;
    }
    if (this.#longestPrefix > 1) {
      // A prefix ends where the path ends or where a slash follows.
      let end = path.length;
      while (end > 0) {
        if (end <= this.#longestPrefix && this.#lengths.has(end)) {
          const found = first(this.#prefixes.get(path.slice(0, end)), request, query);
          if (found !== undefined) return found;
        }
        do end--; while (end > 0 && path.charCodeAt(end) !== SLASH);
      }
    }
    return first(this.#root, request, query);
  }

  candidates(): Candidate[] {
    return [
      ...[...this.#exact.values()].flat(),
      ...[...this.#prefixes.values()].flat(),
    ];
  }
}

/** Buckets in order of precedence; empty ones go. */
function inOrder(
  buckets: ReadonlyMap<string, Candidate[]>,
): Map<string, readonly Candidate[] | undefined> {
  return new Map(
    [...buckets].map(([path, bucket]) => [
      path,
      bucket.length === 0 ? undefined : bucket.sort(comparePrecedence),
    ]),
  );
}

/** Is it the same match of the same rule? */
function isSame(a: Candidate, b: Candidate): boolean {
  return a.matchIndex === b.matchIndex && a.calls === b.calls &&
    a.rule.ruleIndex === b.rule.ruleIndex &&
    a.rule.routeName === b.rule.routeName && a.rule.routeNamespace === b.rule.routeNamespace;
}

function first(
  bucket: readonly Candidate[] | undefined,
  request: RouteRequest,
  query: LazyQuery,
): Candidate | undefined {
  if (bucket === undefined) return undefined;
  for (let i = 0; i < bucket.length; i++) {
    const candidate = bucket[i] as Candidate;
    if (matchesRest(candidate, request, query)) return candidate;
  }
  return undefined;
}
