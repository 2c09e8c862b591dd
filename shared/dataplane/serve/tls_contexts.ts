/** Certificates in memory, and which one answers a server name. */
import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import type { OpenedCertificate } from "../apply/types.ts";
import { hostnameCovers } from "../../gwapi/hostname.ts";

interface Entry {
  context: SecureContext;
  /** DNS names of the leaf, lower-case, wildcards included. */
  names: readonly string[];
  fingerprint: string;
  /** `notAfter` of the leaf. */
  expires: Date;
}

/** What may be shown of a certificate. */
export interface CertificateSummary {
  slot: string;
  fingerprint: string;
  names: readonly string[];
  /** ISO 8601. */
  notAfter: string;
}

/** The certificates of a proxy by slot. Replacing one touches no socket and no open connection. */
export class CertificateStore {
  readonly #entries = new Map<string, Entry>();

  /** Takes a certificate; throws when chain and key cannot be used together. Equal = no change. */
  set(certificate: OpenedCertificate): void {
    const { slot, chain, key, fingerprint } = certificate;
    if (this.#entries.get(slot)?.fingerprint === fingerprint) return;
    const leaf = new X509Certificate(chain);
    this.#entries.set(slot, {
      context: createSecureContext({ cert: chain, key }),
      names: dnsNames(leaf),
      fingerprint,
      expires: new Date(leaf.validTo),
    });
  }

  has(slot: string): boolean {
    return this.#entries.has(slot);
  }

  delete(slot: string): void {
    this.#entries.delete(slot);
  }

  /**
   * The certificate of a listener for a server name: the first whose names cover it, else the
   * first that is there. Undefined when none of the slots is filled.
   */
  choose(slots: readonly string[], serverName: string): SecureContext | undefined {
    let fallback: Entry | undefined;
    for (const slot of slots) {
      const entry = this.#entries.get(slot);
      if (entry === undefined) continue;
      fallback ??= entry;
      if (entry.names.some((name) => coversOneLabel(name, serverName))) return entry.context;
    }
    return fallback?.context;
  }

  summaries(): CertificateSummary[] {
    return [...this.#entries].map(([slot, entry]) => ({
      slot,
      fingerprint: entry.fingerprint,
      names: entry.names,
      notAfter: entry.expires.toISOString(),
    }));
  }
}

/** RFC 9525 §6.3: a certificate's wildcard stands for exactly one label. */
function coversOneLabel(name: string, host: string): boolean {
  if (!name.startsWith("*.")) return name === host;
  return hostnameCovers(name, host) && !host.slice(0, -name.length + 1).includes(".");
}

function dnsNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? "").split(", ")
    .filter((entry) => entry.startsWith("DNS:"))
    .map((entry) => entry.slice(4).toLowerCase());
}
