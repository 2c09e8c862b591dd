/** What the apply loop reports to metrics and logs. Called as things happen; must not throw. */
import type { RefusalReason } from "../../snapshot/refusal.ts";
import type { LastValue } from "../../snapshot/schema.ts";

export interface ApplyHooks {
  /** A message was refused; `subject` is the scope or the key. */
  onRefused?(subject: string, reason: RefusalReason, message: string): void;
  /** A scope swapped. */
  onSwap?(swap: {
    scope: string;
    version: number;
    digest: string;
    /** Swapped before everything it needs was there. */
    degraded: boolean;
    /** From the controller's time stamp to the swap, ms; clocks may differ. */
    age: number;
    /** Verify, compile and wait, ms. */
    milliseconds: number;
  }): void;
  onScopeRemoved?(scope: string): void;
  /** After a swap or a removal: resources of all scopes that are served. */
  onHeld?(resources: number): void;
  onReady?(): void;
  /** Last-value data was taken over. */
  onValue?(kind: LastValue["kind"]): void;
  /** The local copy could not be written or read, or has reached its bound. */
  onLastGoodError?(error: unknown): void;
}
