/** Taking old messages off LGW_CURRENT without losing any of them to the history. */
import { EPOCH_SUBJECT, scopeFilter } from "../../shared/bus/subjects.ts";
import type { BusWriter } from "../../shared/bus/transport.ts";
import type { PublishedScope } from "./plan_scope.ts";

/**
 * Purges what precedes each scope's newest checkpoint, and old epoch records. Only up to what
 * LGW_HISTORY has copied: purging earlier loses messages.
 * @returns the number of messages removed.
 */
export async function purgeOld(
  bus: BusWriter,
  options: { scopes: ReadonlyMap<string, PublishedScope>; epoch: number },
): Promise<number> {
  const sourced = await bus.sourcedUpTo();
  const { lastSequence } = await bus.info("LGW_CURRENT");
  // A history that claims more than the stream has was sourced from an earlier life of it.
  if (sourced === 0 || sourced > lastSequence) return 0;
  const stream = "LGW_CURRENT";
  let purged = 0;
  for (const [scope, { checkpointSequence }] of options.scopes) {
    const before = Math.min(checkpointSequence, sourced + 1);
    if (before > 1) purged += await bus.purge(stream, { filter: scopeFilter(scope), before });
  }
  const before = Math.min(options.epoch, sourced + 1);
  if (before > 1) purged += await bus.purge(stream, { filter: EPOCH_SUBJECT, before });
  return purged;
}
