/** Which protocols of an Upgrade header are passed on (RFC 9110 §7.8). */

/**
 * What may be offered to a backend, out of an Upgrade header. HTTP itself is not: requests on such a
 * connection would pass by every route and filter (and RFC 9113 §3.1 took `h2c` back).
 *
 * @returns the rest of the list; empty when there is nothing to offer
 */
export function offeredProtocols(upgrade: string): string {
  if (!/\b(h2c?|http)\b/i.test(upgrade)) return upgrade;
  return upgrade.split(",").map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "" && !/^(h2c?|http)(\/|$)/i.test(protocol)).join(", ");
}
