/** Which of the addresses that a Gateway asks for it gets. */
import { isIP } from "node:net";
import type { Gateway } from "../model/objects.ts";
import { inRanges } from "./address_ranges.ts";
import { type GatewayReason, OK, type Outcome, refuse } from "./outcome.ts";
import type { GatewaySettings } from "./parameters.ts";

export interface AddressesDecision {
  /** Whether the types can be served at all. */
  supported: Outcome<GatewayReason>;
  /** The addresses asked for that may be used. */
  asked: string[];
  /** One that the cluster chooses: nothing was asked for, or an address without a value. */
  assign: boolean;
  /** Why addresses that were asked for cannot be used. */
  problem?: string;
}

/**
 * IP addresses inside the ranges that the class allows; anything else would let whoever makes a
 * Gateway take the traffic of others (CVE-2020-8554). A host name cannot be given to a Service.
 */
export function decideAddresses(
  { spec }: Gateway,
  { unmanaged, allowed }: GatewaySettings,
): AddressesDecision {
  const addresses = spec.addresses ?? [];
  const index = addresses.findIndex(({ type }) => type !== "IPAddress");
  if (index >= 0) {
    return {
      supported: refuse(
        "UnsupportedAddress",
        `spec.addresses[${index}]: type ${addresses[index]?.type} is not supported; use IPAddress`,
      ),
      asked: [],
      assign: false,
    };
  }
  const values = addresses.flatMap(({ value }) =>
    value === undefined || value === "" ? [] : [value]
  );
  const bad = values.find((value) => reason(value, { unmanaged, allowed }) !== undefined);
  return {
    supported: OK,
    asked: values.filter((value) => reason(value, { unmanaged, allowed }) === undefined),
    assign: values.length < addresses.length || addresses.length === 0,
    ...(bad === undefined ? {} : {
      problem: `spec.addresses: ${bad} ${reason(bad, { unmanaged, allowed })}`,
    }),
  };
}

/** Why an address cannot be used; undefined = it can. */
function reason(
  value: string,
  { unmanaged, allowed }: Pick<GatewaySettings, "unmanaged" | "allowed">,
): string | undefined {
  if (isIP(value) === 0) return "is no IP address";
  if (unmanaged !== undefined) {
    return unmanaged.includes(value)
      ? undefined
      : "is none of those that bring traffic here; see spec.unmanaged.addresses of the class's " +
        "GatewayParameters";
  }
  return inRanges(value, allowed)
    ? undefined
    : "is not in a range that the GatewayClass allows; see spec.addresses.allowed of its " +
      "GatewayParameters";
}
