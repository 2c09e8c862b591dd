/** Bounds of one HTTP/2 connection that its peer may run into, and what is counted then. */
import type { Clock } from "../../lib/clock.ts";
import { Budget } from "./budget.ts";

/** A bound that a peer ran into. */
export type Http2Limit =
  /** Streams reset, by the peer or for its mistakes: work that was started for nothing. */
  | "h2_resets"
  | "h2_pings"
  | "h2_settings"
  /** Frames that carry nothing: DATA without data, CONTINUATION without fields. */
  | "h2_empty_frames"
  | "h2_window_updates"
  /** PRIORITY and frames of types that are not known. */
  | "h2_ignored_frames"
  /** More streams at a time than allowed. */
  | "h2_streams"
  /** A header block too long, or in too many pieces. */
  | "h2_header_block";

/**
 * What a connection may cost. With the defaults one connection holds at most about 1 MiB of bodies
 * that nobody has read (`connectionWindow`), 100 heads of at most 64 KiB (`maxHeadBytes`), one
 * header block in pieces of twice that, 256 KiB of output, and for each of 100 streams one chunk
 * of an answer, at most 64 KiB: below 16 MiB when a client does its worst, some 60 KiB when idle.
 */
export interface Http2Limits {
  /** Streams that the peer may have open at a time. */
  maxStreams: number;
  /** Octets of a body that may be under way on one stream. */
  streamWindow: number;
  /** The same for all streams together. */
  connectionWindow: number;
  /** CONTINUATION frames of one header block. */
  maxContinuations: number;
}

export const HTTP2_LIMITS: Http2Limits = {
  maxStreams: 100,
  streamWindow: 256 * 1024,
  connectionWindow: 1024 * 1024,
  maxContinuations: 32,
};

/** Output that is put together before bodies wait. */
export const OUTPUT_HIGH = 64 * 1024;
/** Output above which nothing more is read from the peer, until it takes some. */
export const OUTPUT_FULL = 256 * 1024;

/**
 * What a peer may send without getting anything done. Generous to clients that work: gRPC pings
 * while it measures bandwidth, browsers reset what a page no longer needs.
 */
export class FloodGuard {
  readonly resets: Budget;
  readonly pings: Budget;
  readonly settings: Budget;
  readonly empty: Budget;
  readonly windowUpdates: Budget;
  readonly ignored: Budget;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.resets = new Budget({ burst: 300, perSecond: 20, clock });
    this.pings = new Budget({ burst: 1000, perSecond: 200, clock });
    this.settings = new Budget({ burst: 50, perSecond: 1, clock });
    this.empty = new Budget({ burst: 200, perSecond: 20, clock });
    this.windowUpdates = new Budget({ burst: 2000, perSecond: 500, clock });
    this.ignored = new Budget({ burst: 1000, perSecond: 100, clock });
  }
}

/** Octets and milliseconds that a peer may take to notice that the connection is closing. */
export const LINGER_BYTES = 1024 * 1024;
export const LINGER_TIME = 1_000;
