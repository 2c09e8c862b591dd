/** Certificates in memory, and which one answers a server name. */
import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import type { OpenedCertificate } from "../apply/types.ts";
import type { Authorities } from "../upstream/trust_bundles.ts";
import { hostnameCovers } from "../../gwapi/hostname.ts";

interface Entry {
  certificate: OpenedCertificate;
  /** Key of the authorities that clients are checked against, empty for none → context. */
  contexts: Map<string, SecureContext>;
  /** DNS names of the leaf, lower-case, wildcards included. */
  names: readonly string[];
  fingerprint: string;
  /** `notAfter` of the leaf. */
  expires: Date;
}

/** Contexts of one certificate that are kept: of listeners on several ports, and of the past. */
const MAX_CONTEXTS = 16;

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
  #generation = 0;

  /** Rises whenever what {@linkcode CertificateStore.get} gives may be different. */
  get generation(): number {
    return this.#generation;
  }

  /** Takes a certificate; throws when chain and key cannot be used together. Equal = no change. */
  set(certificate: OpenedCertificate): void {
    const { slot, chain, key, fingerprint } = certificate;
    if (this.#entries.get(slot)?.fingerprint === fingerprint) return;
    const leaf = new X509Certificate(chain);
    this.#entries.set(slot, {
      certificate,
      contexts: new Map([["", createSecureContext({ cert: chain, key })]]),
      names: dnsNames(leaf),
      fingerprint,
      expires: new Date(leaf.validTo),
    });
    this.#generation++;
  }

  /** The certificate with its key, to be shown to backends. */
  get(slot: string): OpenedCertificate | undefined {
    return this.#entries.get(slot)?.certificate;
  }

  has(slot: string): boolean {
    return this.#entries.has(slot);
  }

  delete(slot: string): void {
    if (this.#entries.delete(slot)) this.#generation++;
  }

  /**
   * The certificate of a listener for a server name: the first whose names cover it, else the
   * first that is there. Undefined when none of the slots is filled.
   *
   * @param clients authorities that certificates of clients are checked against; null = not asked for
   */
  choose(
    slots: readonly string[],
    serverName: string,
    clients: Authorities | null = null,
  ): SecureContext | undefined {
    let fallback: Entry | undefined;
    for (const slot of slots) {
      const entry = this.#entries.get(slot);
      if (entry === undefined) continue;
      fallback ??= entry;
      if (entry.names.some((name) => coversOneLabel(name, serverName))) {
        return contextOf(entry, clients);
      }
    }
    return fallback && contextOf(fallback, clients);
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

function contextOf(entry: Entry, clients: Authorities | null): SecureContext {
  const key = clients?.key ?? "";
  const known = entry.contexts.get(key);
  if (known !== undefined) return known;
  const { chain: cert, key: privateKey } = entry.certificate;
  const context = createSecureContext({
    cert,
    key: privateKey,
    ...(clients === null ? {} : { ca: [...clients.certificates] }),
  });
  if (entry.contexts.size >= MAX_CONTEXTS) entry.contexts.clear();
  entry.contexts.set(key, context);
  return context;
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
