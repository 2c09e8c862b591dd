/** What a process runs: the data plane in its own isolate, or workers that hold one each. */
import type { LogLevel } from "../lib/log.ts";
import type { ApplyTarget } from "./apply/types.ts";

export interface DataPlaneHost extends ApplyTarget {
  /** A snapshot or a value was refused. */
  applyError(reason: string): void;
  /** The exposition text (Prometheus text format 0.0.4) and its content type. */
  expose(): Promise<{ contentType: string; text: string }>;
  /** What is in force, without anything secret. */
  dump(): Promise<Record<string, unknown>>;
  /** Which log lines are written from now on. */
  setLogLevel(level: LogLevel): void;
  /** Stops accepting, lets running requests finish within a bound, then closes everything. */
  close(): Promise<void>;
}
