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

/** One target with what was measured. */
export interface Verdict {
  name: string;
  measured: string;
  target: string;
  ok: boolean;
}

/** `PASS  name: measured (target …)`. */
export function formatVerdict({ name, measured, target, ok }: Verdict): string {
  return `${ok ? "PASS" : "MISS"}  ${name}: ${measured} (target ${target})`;
}

/** `12.3`. */
export function fixed(value: number, digits = 1): string {
  return value.toFixed(digits);
}
