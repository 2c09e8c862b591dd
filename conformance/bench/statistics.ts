/** Summaries of samples, and the verdict line of a target. */

/** The value below which a share `q` (0–1) of the samples lies. Throws on no samples. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) throw new RangeError("no samples");
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/**
 * How far samples move: the spread of all but the lowest and the highest, as a share of their
 * median. One disturbed round does not decide, a drifting machine does. Needs five samples.
 */
export function drift(samples: readonly number[]): number {
  const middle = [...samples].sort((a, b) => a - b).slice(1, -1);
  if (middle.length < 3) throw new RangeError("drift needs five samples");
  return (Math.max(...middle) - Math.min(...middle)) / median(middle);
}

/** A straight line through points. */
export interface Slope {
  /** Change of y per unit of x. */
  slope: number;
  /** Standard error of the slope. */
  error: number;
}

/** Least squares. Throws on fewer than three points, or when all have the same x. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): Slope {
  const n = points.length;
  if (n < 3) throw new RangeError("a slope needs three points");
  const mean = (index: 0 | 1) => points.reduce((sum, point) => sum + point[index], 0) / n;
  const [mx, my] = [mean(0), mean(1)];
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  if (sxx === 0) throw new RangeError("a slope needs different x");
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx;
  const rest = points.reduce((sum, [x, y]) => sum + (y - my - slope * (x - mx)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (n - 2) / sxx) };
}

/** One target with what was measured. */
export interface Verdict {
  name: string;
  measured: string;
  target: string;
  /** `noisy`: the machine moved too much to say. */
  outcome: "pass" | "miss" | "noisy";
}

const WORDS = { pass: "PASS", miss: "MISS", noisy: "????" } as const;

/** `PASS  name: measured (target …)`. */
export function formatVerdict({ name, measured, target, outcome }: Verdict): string {
  return `${WORDS[outcome]}  ${name}: ${measured} (target ${target})`;
}

/** The outcome of a figure that is either within its target or not. */
export function outcomeOf(ok: boolean): Verdict["outcome"] {
  return ok ? "pass" : "miss";
}

/** `12.3`. */
export function fixed(value: number, digits = 1): string {
  return value.toFixed(digits);
}
