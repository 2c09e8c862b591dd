/** The local copy, put through the same checks as the bus. */
import type { KeySet } from "../../snapshot/keys.ts";
import type { Need } from "../../snapshot/messages.ts";
import { RefusalError } from "../../snapshot/refusal.ts";
import { type ScopeState, verifySnapshot } from "../../snapshot/verify.ts";
import type { EpochFollower } from "./epoch_follower.ts";
import type { LoadedCopy, StoredMessage } from "./last_good.ts";

export interface ReplayedScope {
  state: ScopeState;
  needs: Need[];
}

export interface ReplayOptions {
  keys: KeySet;
  features: ReadonlySet<string>;
  /** Takes the stored epoch record, so that nothing older is believed later. */
  epochs: EpochFollower;
  onRefused(scope: string, error: RefusalError): void;
}

/** Scope → the state that its stored messages verify to; scopes that do not verify are left out. */
export function replayCopy(copy: LoadedCopy, options: ReplayOptions): Map<string, ReplayedScope> {
  if (copy.epoch !== undefined) options.epochs.take(copy.epoch.message, 0);
  const replayed = new Map<string, ReplayedScope>();
  for (const [scope, messages] of copy.scopes) {
    const result = replayScope(scope, messages, options);
    if (result !== undefined) replayed.set(scope, result);
  }
  return replayed;
}

function replayScope(
  scope: string,
  messages: readonly StoredMessage[],
  options: ReplayOptions,
): ReplayedScope | undefined {
  const { keys, features, epochs, onRefused } = options;
  const term = epochs.term;
  if (term === undefined) return undefined;
  let state: ScopeState | undefined;
  let needs: Need[] = [];
  for (const { message } of messages) {
    try {
      const verified = verifySnapshot(message, state, { keys, scope, term, features, minEpoch: 0 });
      needs = verified.type === "delta"
        ? [...needs, ...verified.payload.needs]
        : verified.payload.needs;
      state = verified.state;
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      onRefused(scope, error);
      // What verified before it is still good.
      break;
    }
  }
  return state === undefined ? undefined : { state, needs };
}
