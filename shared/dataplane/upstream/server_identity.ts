/** Is the certificate of a backend the one that its BackendTLSPolicy asks for? */
import { hostnameCovers } from "../../gwapi/hostname.ts";
import type { SubjectAltName } from "../../snapshot/schema.ts";
import { type SubjectAltNames, subjectAltNames } from "./subject_alt_names.ts";

/** What a backend must prove to be. */
export interface ServerIdentity {
  /** The name to be proved when there are no `subjectAltNames`. */
  serverName: string;
  /** Any one of them is enough; with them the server name proves nothing. */
  subjectAltNames: readonly SubjectAltName[];
}

/**
 * Undefined when the certificate proves it, else what is wrong. The subject's common name is not
 * looked at (RFC 9525 §2).
 *
 * @param der the leaf, whose chain is verified already
 */
export function identityProblem(der: Uint8Array, identity: ServerIdentity): string | undefined {
  let names: SubjectAltNames;
  try {
    names = subjectAltNames(der);
  } catch {
    return "its certificate cannot be read";
  }
  const wanted = identity.subjectAltNames.length > 0
    ? identity.subjectAltNames
    : [{ type: "dns" as const, value: identity.serverName }];
  if (wanted.some((name) => has(names, name))) return undefined;
  return `its certificate is not for ${wanted.map(({ value }) => value).join(" or ")}`;
}

function has({ dns, uri }: SubjectAltNames, { type, value }: SubjectAltName): boolean {
  switch (type) {
    case "uri":
      return uri.includes(value);
    case "dns":
      return dns.some((name) =>
        name === value || coversOneLabel(name, value) || coversOneLabel(value, name)
      );
  }
}

/** RFC 9525 §6.3: a wildcard is a whole label, the first, and stands for exactly one. */
function coversOneLabel(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.") || host.startsWith("*.")) return false;
  return hostnameCovers(pattern, host) && !host.slice(0, -pattern.length + 1).includes(".");
}
