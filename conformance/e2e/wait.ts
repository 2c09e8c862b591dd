/** Waiting for something to become true: polled, bounded, and telling why it did not. */

export interface WaitOptions {
  /** Milliseconds after which the wait is given up. Default 20,000. */
  within?: number;
}

/** Milliseconds between looks. */
const INTERVAL = 10;
const WITHIN = 20_000;

/**
 * Calls `probe` until it gives a value other than `undefined` and `false`, and resolves with it. A
 * probe that throws is asked again; the last error is the cause of the failure.
 *
 * @throws {Error} when it does not happen in time; the message starts with `what`
 */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  options: WaitOptions = {},
): Promise<T> {
  const { within = WITHIN } = options;
  const end = performance.now() + within;
  let last: unknown;
  do {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await pause(INTERVAL);
  } while (performance.now() < end);
  const why = last instanceof Error ? `: ${last.message}` : "";
  throw new Error(`${what}: not within ${within} ms${why}`, { cause: last });
}

/** Resolves with `promise`, or rejects when it takes longer than the bound. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  options: WaitOptions = {},
): Promise<T> {
  const { within = WITHIN } = options;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${within} ms`)), within);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Paces a loop. Never a way to wait for something: that is {@linkcode eventually}. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
