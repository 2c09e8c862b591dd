/** How values show in messages. */
import { asRecord } from "../decode/decoder.ts";

const MAX_SHOWN = 80;

/** A scalar as it is written in JSON, long texts cut. */
export function shown(value: unknown): string {
  if (typeof value !== "string") return String(value);
  return value.length > MAX_SHOWN ? `"${value.slice(0, MAX_SHOWN)}…"` : `"${value}"`;
}

/**
 * The message of a broken rule with the scalars of the value that broke it, because the rule's text
 * speaks of fields and not of what they are. `error`: why the rule could not be computed.
 */
export function ruleMessage(
  message: string,
  { value, error }: { value: unknown; error: string | undefined },
): string {
  const scalars = Object.entries(asRecord(value) ?? {})
    .filter(([, member]) => typeof member !== "object")
    .map(([name, member]) => `${name} ${shown(member)}`);
  const here = scalars.length === 0 ? "" : ` (here: ${scalars.join(", ")})`;
  return `${message}${here}${error === undefined ? "" : `: ${error}`}`;
}
