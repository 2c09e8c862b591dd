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
  /**
   * The end is near: everything is served as before, but every answer over HTTP/1.x says that its
   * connection ends with it. A client that waits until an idle connection is closed may send a
   * request at that very moment and lose it.
   */
  announceEnd(): void;
  /** Stops accepting, lets running requests finish within a bound, then closes everything. */
  close(): Promise<void>;
}
