/**
 * Memory and file descriptors of controller and proxy over time. What leaks lifts the floor: of each
 * window the lowest read counts, and the slope of the floors is judged, or told.
 */
import type { Stack } from "../../deploy/standalone/stack.ts";
import { openDescriptors, residentMegabytes } from "./process.ts";
import { fixed, outcomeOf, slopeOf } from "./statistics.ts";
import type { Slope, Verdict } from "./statistics.ts";

/** Windows of the time that is judged. */
const WINDOWS = 20;
/** Share of the time before anything is judged: caches fill, code is compiled. */
const WARM_UP = 1 / 3;
/** What may come on top per hour. */
const LIMITS = { megabytes: 20, descriptors: 10 };

interface Read {
  /** Hours since the start. */
  at: number;
  megabytes: number;
  descriptors: number;
}

/** Watches the controller and the first proxy of a stack. */
export class LeakWatch {
  readonly #reads = new Map<string, Read[]>();
  readonly #begin = performance.now();
  readonly #pids: readonly (readonly [name: string, pid: number])[];

  constructor(stack: Stack) {
    this.#pids = [
      ["controller", stack.controller.current.pid],
      ["proxy", stack.proxies[0]?.current.pid ?? 0],
    ];
  }

  /** Hours since the start. */
  get hours(): number {
    return (performance.now() - this.#begin) / 3_600_000;
  }

  /** Takes one read of each process. */
  async read(): Promise<void> {
    for (const [name, pid] of this.#pids) {
      const list = this.#reads.get(name) ?? [];
      list.push({
        at: this.hours,
        megabytes: await residentMegabytes(pid),
        descriptors: await openDescriptors(pid),
      });
      this.#reads.set(name, list);
    }
  }

  /** One verdict per process and kind. */
  judge(print: (line: string) => void): Verdict[] {
    return this.#slopes().map(({ process, what, unit, first, last, slope, error }) => {
      print(`  ${process}: ${fixed(first)} → ${fixed(last)} ${unit}`);
      const limit = LIMITS[what];
      return {
        name: `${process}, ${what === "megabytes" ? "memory" : "file descriptors"} per hour`,
        measured: `${fixed(slope)} ± ${fixed(error)} ${unit}`,
        target: `≤ ${limit} ${unit}`,
        outcome: outcomeOfSlope({ slope, error }, limit),
      };
    });
  }

  /** Says how both moved, for times that are too short to judge by. */
  tell(print: (line: string) => void): void {
    for (const { process, unit, first, last, slope, error } of this.#slopes()) {
      print(
        `  ${process}: ${fixed(first)} → ${fixed(last)} ${unit}, ` +
          `${fixed(slope)} ± ${fixed(error)} per hour, which is told only`,
      );
    }
  }

  #slopes() {
    return [...this.#reads].flatMap(([process, list]) => {
      const judged = list.slice(Math.floor(list.length * WARM_UP));
      return (["megabytes", "descriptors"] as const).map((what) => {
        const points = floors(judged, what);
        const unit = what === "megabytes" ? "MB" : "descriptors";
        const ends = { first: points[0]?.[1] ?? 0, last: points.at(-1)?.[1] ?? 0 };
        return { process, what, unit, ...ends, ...slopeOf(points) };
      });
    });
  }
}

/** Within the limit, above it, or, when the slope is too unsure to tell, neither. */
function outcomeOfSlope({ slope, error }: Slope, limit: number): Verdict["outcome"] {
  if (slope + 2 * error <= limit) return "pass";
  if (slope - 2 * error > limit) return "miss";
  return error > limit ? "noisy" : outcomeOf(slope <= limit);
}

/** The lowest read of each window. */
function floors(
  reads: readonly Read[],
  what: "megabytes" | "descriptors",
): (readonly [number, number])[] {
  const size = Math.max(1, Math.ceil(reads.length / WINDOWS));
  const points: (readonly [number, number])[] = [];
  for (let at = 0; at < reads.length; at += size) {
    const lowest = reads.slice(at, at + size).reduce((a, b) => b[what] < a[what] ? b : a);
    points.push([lowest.at, lowest[what]]);
  }
  return points;
}
