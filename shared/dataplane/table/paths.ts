/**
 * Path lookup for the candidates of one hostname: exact paths in one map, prefixes in another that
 * is asked from the longest path element downwards. Gateway API, HTTPPathMatch: prefixes match by
 * whole path elements and a trailing slash does not count.
 */
import { matchesRest } from "./match.ts";
import type { LazyQuery } from "./match.ts";
import { comparePrecedence } from "./precedence.ts";
import type { Candidate, RouteRequest } from "./types.ts";

const SLASH = 47;

export class PathIndex {
  readonly #exact = new Map<string, Candidate[]>();
  readonly #prefixes = new Map<string, Candidate[]>();
  #root: Candidate[] = [];
  #longestPrefix = 0;
  /** Lengths of the prefixes: other parts of a path are not worth cutting out and hashing. */
  readonly #lengths = new Set<number>();

  add(candidate: Candidate): void {
    if (candidate.pathType === "prefix" && candidate.path === "/") {
      this.#root.push(candidate);
      return;
    }
    const map = candidate.pathType === "exact" ? this.#exact : this.#prefixes;
    const bucket = map.get(candidate.path);
    if (bucket === undefined) map.set(candidate.path, [candidate]);
    else bucket.push(candidate);
    if (candidate.pathType === "prefix") {
      this.#lengths.add(candidate.path.length);
      this.#longestPrefix = Math.max(this.#longestPrefix, candidate.path.length);
    }
  }

  sort(): void {
    for (const bucket of this.#exact.values()) bucket.sort(comparePrecedence);
    for (const bucket of this.#prefixes.values()) bucket.sort(comparePrecedence);
    this.#root.sort(comparePrecedence);
  }

  find(request: RouteRequest, query: LazyQuery): Candidate | undefined {
    const { path } = request;
    if (this.#exact.size > 0) {
      const found = first(this.#exact.get(path), request, query);
      if (found !== undefined) return found;
    }
    if (this.#longestPrefix > 0) {
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
      ...this.#root,
    ];
  }
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
