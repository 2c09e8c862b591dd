/** `lgw history`: the versions that were published, and which objects caused them. */
import { render, table } from "./output.ts";
import type { CommandResult, OutputFormat } from "./output.ts";

export interface HistoryEntry {
  scope: string;
  version: number;
  epoch: number;
  type: "delta" | "checkpoint";
  /** ISO 8601, by the controller's clock. */
  time: string;
  digest: string;
  /** Bytes of the message's body. */
  bytes: number;
  /** Ids that the version set. */
  set: string[];
  deleted: string[];
  changes: { object: string; generation: number; manager: string }[];
  reason?: string;
}

export interface HistoryOptions {
  format: OutputFormat;
  /** `<namespace>/<name>` of a Gateway; absent = all of them. */
  gateway?: string;
  /** Newest versions to show. */
  limit: number;
}

/** Exit code 0 when something was published, else 1. */
export function showHistory(
  entries: readonly HistoryEntry[],
  { format, gateway, limit }: HistoryOptions,
): CommandResult {
  const wanted = entries
    .filter(({ scope }) => gateway === undefined || scope === `gateway/${gateway}`)
    .slice(-limit);
  const text = () =>
    table(
      ["SCOPE", "VERSION", "TIME", "TYPE", "BYTES", "DIGEST", "CAUSE"],
      wanted.map((entry) => [
        entry.scope,
        String(entry.version),
        entry.time,
        entry.type,
        String(entry.bytes),
        entry.digest.replace("sha256:", "").slice(0, 12),
        cause(entry),
      ]),
    );
  return { output: render(format, wanted, text), exitCode: wanted.length === 0 ? 1 : 0 };
}

const SHOWN = 3;

function cause({ changes, reason, deleted }: HistoryEntry): string {
  const shown = changes.slice(0, SHOWN).map(({ object, generation }) => `${object}@${generation}`);
  const more = changes.length > SHOWN ? [`and ${changes.length - SHOWN} more`] : [];
  const gone = deleted.length > 0 ? [`-${deleted.length} resources`] : [];
  return [...(reason === undefined ? [] : [reason]), ...shown, ...more, ...gone].join(", ");
}
