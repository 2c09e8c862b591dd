/** A histogram that costs one short loop per observation. */

/** Upper bounds, seconds: from a proxied cache hit to a long poll. */
export const DURATION_BOUNDS = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
  60,
] as const;

/** Counts per bucket (not cumulative), with sum and count. */
export class DurationHistogram {
  readonly buckets: Float64Array = new Float64Array(DURATION_BOUNDS.length + 1);
  sum = 0;
  count = 0;

  /** Takes milliseconds. */
  observe(ms: number): void {
    const seconds = ms / 1000;
    let at = 0;
    while (at < DURATION_BOUNDS.length && seconds > DURATION_BOUNDS[at]!) at++;
    this.buckets[at]! += 1;
    this.sum += seconds;
    this.count += 1;
  }
}
