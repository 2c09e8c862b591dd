/**
 * Names of what is made for a Gateway. Gateway and class names reach 253 characters and may hold
 * dots; Service names and label values end at 63.
 */
import { createHash } from "node:crypto";

const LONGEST = 63;
/** Hex digits: 40 bits tell the Gateways of one namespace apart. */
const HASH_LENGTH = 10;
/** RFC 1035 label, what the name of a Service is. */
const SERVICE_NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

function hashOf(parts: readonly string[]): string {
  // Names hold no slash, so parts cannot run into one another.
  return createHash("sha256").update(parts.join("/")).digest("hex").slice(0, HASH_LENGTH);
}

/** The start of a text and a hash of all of it, at most 63 characters. */
function cut(text: string, hash: string): string {
  const start = text.slice(0, LONGEST - HASH_LENGTH - 1).replace(/[^a-z0-9A-Z]+$/, "");
  return `${start}-${hash}`;
}

/**
 * Name of the Service of a Gateway: `<gateway>-<class>` where that is a valid name and says which
 * part is which, else its start and a hash. A class with a dash does not: Gateway `a-b` of class
 * `c` and Gateway `a` of class `b-c` would share a Service.
 */
export function serviceName(gateway: string, className: string): string {
  const plain = `${gateway}-${className}`;
  const clear = !className.includes("-") && plain.length <= LONGEST && SERVICE_NAME.test(plain);
  if (clear) return plain;
  const letters = plain.replaceAll(/[^-a-z0-9]/g, "-");
  const text = /^[a-z]/.test(letters) ? letters : `g-${letters}`;
  return cut(text, hashOf([gateway, className]));
}

/**
 * Name of one EndpointSlice of a Service. Read from its end it gives part, port and Service, so two
 * Services never share one.
 */
export function sliceName(
  service: string,
  { port, protocol, family, part }: {
    port: number;
    protocol: "TCP" | "UDP";
    family: "IPv4" | "IPv6";
    part: number;
  },
): string {
  const suffix = family === "IPv4" ? "v4" : "v6";
  return `${service}-${port}${protocol === "UDP" ? "-udp" : ""}-${suffix}${
    part === 0 ? "" : `n${part}`
  }`;
}

/** A name as a label value: itself where it fits, else its start and a hash. */
export function labelValue(name: string): string {
  return name.length <= LONGEST ? name : cut(name, hashOf([name]));
}
