/** Structural validation of last-value data. */
import {
  asBoolean,
  asInteger,
  asList,
  asObject,
  asOneOf,
  asText,
  malformed,
  optional,
} from "./fields.ts";
import { isDigestText } from "./hash.ts";
import { UNIX_ADDRESS } from "./schema.ts";
import type { LastValue } from "./schema.ts";

const PORT = { min: 1, max: 65_535 };
const NO_PORT = { min: 0, max: 0 };

/**
 * `value` as last-value data.
 * @throws {RefusalError} with reason `content`, and nothing else.
 */
export function decodeLastValue(value: unknown, path = "value"): LastValue {
  const fields = asObject(value, path);
  const kind = asOneOf(fields["kind"], `${path}.kind`, [
    "endpoints",
    "bind",
    "secret",
    "trust",
    "frontend",
  ]);
  switch (kind) {
    case "endpoints":
      asList(fields["endpoints"], `${path}.endpoints`, checkEndpoint);
      break;
    case "bind":
      asList(fields["ports"], `${path}.ports`, checkBind);
      optional(fields, "udp", (v) => asList(v, `${path}.udp`, checkBind));
      break;
    case "secret": {
      asText(fields["slot"], `${path}.slot`);
      asText(fields["chain"], `${path}.chain`);
      asText(fields["sealedKey"], `${path}.sealedKey`);
      if (!isDigestText(asText(fields["fingerprint"], `${path}.fingerprint`))) {
        throw malformed(`${path}.fingerprint`, "must be sha256: and 64 hex digits");
      }
      break;
    }
    case "trust":
      asText(fields["certificates"], `${path}.certificates`);
      break;
    case "frontend":
      asList(fields["addresses"], `${path}.addresses`, asText);
      asList(fields["ports"], `${path}.ports`, checkFrontendPort);
      break;
    default:
      kind satisfies never;
  }
  return value as LastValue;
}

function checkBind(value: unknown, path: string): void {
  const port = asObject(value, path);
  asInteger(port["port"], `${path}.port`, PORT);
  asInteger(port["fleetPort"], `${path}.fleetPort`, PORT);
}

function checkFrontendPort(value: unknown, path: string): void {
  const port = asObject(value, path);
  asInteger(port["port"], `${path}.port`, PORT);
  for (const name of ["name", "appProtocol"]) {
    optional(port, name, (v) => asText(v, `${path}.${name}`));
  }
}

function checkEndpoint(value: unknown, path: string): void {
  const endpoint = asObject(value, path);
  const address = asText(endpoint["address"], `${path}.address`);
  const unix = address.startsWith(UNIX_ADDRESS);
  asInteger(endpoint["port"], `${path}.port`, unix ? NO_PORT : PORT);
  asBoolean(endpoint["ready"], `${path}.ready`);
  asBoolean(endpoint["serving"], `${path}.serving`);
  asBoolean(endpoint["terminating"], `${path}.terminating`);
  for (const name of ["node", "zone", "identity"]) {
    optional(endpoint, name, (v) => asText(v, `${path}.${name}`));
  }
}
