/** Asks the system's name servers and its hosts file. */
import { resolve4, resolve6 } from "node:dns/promises";
import type { NameRecord } from "./name_resolver.ts";

/**
 * The addresses of a name. Those of IPv6 count only where there are none of IPv4: a name with both
 * says nothing about which of them a network can reach, and IPv4 is the one that most can.
 */
export async function systemLookup(name: string): Promise<NameRecord[]> {
  try {
    return await resolve4(name, { ttl: true });
  } catch (error) {
    try {
      return await resolve6(name, { ttl: true });
    } catch {
      // What IPv4 said is the better message.
      throw error;
    }
  }
}
