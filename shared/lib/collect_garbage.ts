/**
 * V8 collects when it allocates. A process that let go of much and then rests keeps the memory; so
 * it is asked to collect, once, when what is held has shrunk and nothing happens any more.
 */
import v8 from "node:v8";
import vm from "node:vm";
import type { Clock } from "./clock.ts";

/** Collects everything that nobody holds. Returns false where there is no way to ask for it. */
export function collectGarbage(): boolean {
  try {
    // Contexts that are made after the flag was set have the function; others never get it.
    v8.setFlagsFromString("--expose-gc");
    const collect: unknown = vm.runInNewContext("gc");
    if (typeof collect !== "function") return false;
    collect();
    return true;
  } catch {
    return false;
  }
}

export interface ShrinkOptions {
  /** Default {@linkcode collectGarbage}. */
  collect?: () => void;
  clock: Clock;
  /** Milliseconds without news before it collects: it stops everything for a moment. Default 5000. */
  quiet?: number;
  /** Less than this is not worth it. Default 1000. */
  from?: number;
  /**
   * Also after the count has doubled: what was read to get there is gone, and its memory is not. Not
   * for who carries traffic. Default: no.
   */
  afterGrowth?: boolean;
}

/** Collects after a count of things fell to less than half, or doubled. */
export class CollectAfterShrinking {
  readonly #options: Required<ShrinkOptions>;
  /** The most that was held since the last collection. */
  #peak = 0;
  /** What was held at the last collection. */
  #collected = 0;
  #waiting: AbortController | undefined;

  constructor(options: ShrinkOptions) {
    const { collect = collectGarbage, quiet = 5000, from = 1000, clock } = options;
    const { afterGrowth = false } = options;
    this.#options = { collect, quiet, from, clock, afterGrowth };
  }

  /** Tells how many things are held now. */
  observe(held: number): void {
    const { from, quiet, clock, collect, afterGrowth } = this.#options;
    this.#peak = Math.max(this.#peak, held);
    this.close();
    const grown = afterGrowth && held >= 2 * this.#collected;
    if (this.#peak < from || (held * 2 >= this.#peak && !grown)) return;
    const waiting = this.#waiting = new AbortController();
    clock.delay(quiet, waiting.signal).then(() => {
      this.#peak = this.#collected = held;
      collect();
    }, () => {});
  }

  /** Forgets what it was going to do. */
  close(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }
}
