/** The name that a mistyped one most likely stands for. */

/** Edits that still count as a slip: a swap of two letters is two. */
const MAX_EDITS = 2;

/** The known name at most two edits away, the nearest first; undefined when there is none. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; edits: number } | undefined;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > MAX_EDITS) continue;
    const edits = distance(name.toLowerCase(), candidate.toLowerCase());
    // Of a short name two edits leave nothing.
    const allowed = Math.min(MAX_EDITS, Math.floor(candidate.length / 3));
    if (edits <= allowed && (best === undefined || edits < best.edits)) {
      best = { name: candidate, edits };
    }
  }
  return best?.name;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
