/** What came of a publish. */
import type { Change } from "../../shared/snapshot/messages.ts";

/** What is served of a scope after a publish. */
export interface ScopeResult {
  version: number;
  digest: string;
  /** True when this publish made the version. */
  changed: boolean;
  /** The objects that caused it; empty when unchanged. */
  changes: readonly Change[];
}

/** A scope that does not fit onto the bus: a condition for its Gateway, not a crash. */
export interface OversizeScope {
  scope: string;
  bytes: number;
  message: string;
}

export type PublishResult =
  | {
    kind: "published";
    lineage: string;
    epoch: number;
    /** Every wanted scope that is on the bus. */
    scopes: ReadonlyMap<string, ScopeResult>;
    /** Scopes whose last published version stays in force. */
    oversize: readonly OversizeScope[];
    /** Last-value data that could not be written. */
    failures: readonly ValueFailure[];
  }
  /** Another controller leads; this one may some day. */
  | { kind: "standby" }
  /** Another controller has taken over: nothing more is written by this one. */
  | { kind: "deposed" }
  /** The publisher was closed first. */
  | { kind: "closed" };

/** A value that could not be written. */
export interface ValueFailure {
  subject: string;
  message: string;
}
