/** Ranges of IP addresses, as CIDRs. */
import { BlockList, isIPv4, isIPv6 } from "node:net";

export type AddressRanges = readonly string[];

/** The ranges, or what is wrong with one of them. */
export function addressRanges(cidrs: readonly string[]): AddressRanges | string {
  for (const cidr of cidrs) {
    try {
      add(new BlockList(), cidr);
    } catch {
      return `"${cidr}" is no range of addresses such as 192.0.2.0/24 or 2001:db8::/64`;
    }
  }
  return cidrs;
}

/** Is an IP address in one of the ranges? */
export function inRanges(address: string, ranges: AddressRanges): boolean {
  const list = new BlockList();
  for (const cidr of ranges) add(list, cidr);
  if (isIPv4(address)) return list.check(address, "ipv4");
  return isIPv6(address) && list.check(address, "ipv6");
}

/** Throws for what is no CIDR. */
function add(list: BlockList, cidr: string): void {
  const [network = "", prefix = ""] = cidr.split("/");
  list.addSubnet(network, Number(prefix), isIPv4(network) ? "ipv4" : "ipv6");
}
