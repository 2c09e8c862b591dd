/** The string formats that the definitions use; others are annotations only, as in OpenAPI. */
import { isIPv4, isIPv6 } from "node:net";

/** A format: what it is called in messages, and whether a text is of it. */
export interface StringFormat {
  what: string;
  test: (text: string) => boolean;
}

const FORMATS: Readonly<Record<string, StringFormat>> = {
  ipv4: { what: "an IPv4 address", test: (text) => isIPv4(text) },
  // Zones (`fe80::1%eth0`) are no part of the format.
  ipv6: { what: "an IPv6 address", test: (text) => isIPv6(text) && !text.includes("%") },
  "date-time": {
    what: "a time such as 2026-01-31T12:00:00Z",
    test: (text) =>
      /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) &&
      !Number.isNaN(Date.parse(text)),
  },
};

/** The format of a name; undefined for one that is not checked. */
export function stringFormat(name: string | undefined): StringFormat | undefined {
  return name !== undefined && Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
}

/** The range of an integer by its format: int32, otherwise the integers that JSON carries safely. */
export function integerRange(format: string | undefined): { min: number; max: number } {
  return format === "int32"
    ? { min: -2147483648, max: 2147483647 }
    : { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
}
