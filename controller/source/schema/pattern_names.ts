/** What the patterns of the definitions stand for, in words that name the fix. */

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const PATH = "\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+";

const NAMES: ReadonlyMap<string, string> = new Map([
  [`^${LABEL}$`, "a namespace name (lower-case letters, digits and -)"],
  [`^${SUBDOMAIN}$`, "a DNS name (lower-case letters, digits, - and .), without *"],
  [`^$|^${SUBDOMAIN}$`, "an API group"],
  [
    `^(\\*\\.)?${SUBDOMAIN}$`,
    "a lower-case host name, with at most a first label *",
  ],
  [`^${SUBDOMAIN}${PATH}$`, "a domain-prefixed path such as example.com/controller"],
  ["^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", "a kind"],
  ["^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$", "an HTTP header name"],
  ["^([0-9]{1,5}(h|m|s|ms)){1,4}$", "a duration such as 500ms, 10s or 1h30m"],
  [
    `^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|${SUBDOMAIN}\\/[A-Za-z0-9]+$`,
    "a protocol such as HTTP or HTTPS",
  ],
  [
    `^Hostname|IPAddress|NamedAddress|${SUBDOMAIN}${PATH}$`,
    "IPAddress, Hostname, NamedAddress or a domain-prefixed path",
  ],
  [`^(${SUBDOMAIN}|[0-9a-fA-F:.]+)$`, "an IP address or a lower-case host name"],
]);

/** What a text must be to match the pattern; the pattern itself when it has no name. */
export function patternName(source: string): string {
  return NAMES.get(source) ?? `of the form ${source}`;
}
