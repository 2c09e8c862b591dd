/** How long to wait between tries. */
export interface BackoffOptions {
  /** First wait, ms. Default 50. */
  initial?: number;
  /** Longest wait, ms. Default 5000. */
  max?: number;
  /** Share of the wait that is random, 0–1. Default 0.2. */
  jitter?: number;
  /** Source of randomness in [0, 1). Default `Math.random`. */
  random?: () => number;
}

/** The wait before try `attempt` (0 = the first retry), ms: doubles up to `max`, with jitter. */
export function backoff(attempt: number, options: BackoffOptions = {}): number {
  const { initial = 50, max = 5000, jitter = 0.2, random = Math.random } = options;
  const base = Math.min(max, initial * 2 ** Math.min(attempt, 30));
  return base * (1 - jitter + 2 * jitter * random());
}
