/**
 * Whether a client may use a connection whose listener requires a certificate
 * (FrontendTLSValidation).
 *
 * The platform verifies certificates in full handshakes only, and lets sessions be resumed on any
 * port and under any other authorities, as if they had been verified there. So of a resumed session
 * the certificate alone counts: it passes when it was verified before under the same authorities, or
 * when one of them issued it; anything longer has to come with a full handshake.
 */
import { X509Certificate } from "node:crypto";
import { certificateExtension, derHex } from "../upstream/certificate_extensions.ts";
import type { Authorities } from "../upstream/trust_bundles.ts";

/** What a handshake showed. */
export interface ShownCertificate {
  /** DER of the client's certificate; undefined when it showed none. */
  certificate: Uint8Array | undefined;
  /** The platform verified it under the listener's authorities, or says so. */
  authorized: boolean;
  /** The session was resumed. */
  resumed: boolean;
}

/** Certificates that are remembered; the oldest goes first. */
const MAX_VERIFIED = 10_000;
/** 2.5.29.37 (RFC 5280 §4.2.1.12), and the use that clients need: 1.3.6.1.5.5.7.3.2. */
const EXTENDED_KEY_USAGE = "551d25";
const CLIENT_AUTHENTICATION = "2b06010505070302";
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export class VerifiedClients {
  readonly #max: number;
  /** `<key of the authorities> <fingerprint>` → last moment of the certificate, milliseconds. */
  readonly #verified = new Map<string, number>();

  constructor(max: number = MAX_VERIFIED) {
    this.#max = max;
  }

  /**
   * @param authorities of the listener, now
   * @param now milliseconds since the epoch
   */
  admits(shown: ShownCertificate, authorities: Authorities, now: number): boolean {
    if (!shown.authorized || shown.certificate === undefined) return false;
    const certificate = read(shown.certificate);
    if (certificate === undefined) return false;
    const name = `${authorities.key} ${certificate.fingerprint256}`;
    if (shown.resumed) {
      const expires = this.#verified.get(name);
      if (expires !== undefined && now < expires) return true;
      if (!issuedByOneOf(authorities, { certificate, now })) return false;
    }
    this.#verified.delete(name);
    this.#verified.set(name, Date.parse(certificate.validTo));
    if (this.#verified.size > this.#max) {
      const [oldest] = this.#verified.keys();
      if (oldest !== undefined) this.#verified.delete(oldest);
    }
    return true;
  }
}

function read(certificate: Uint8Array | string): X509Certificate | undefined {
  try {
    return new X509Certificate(certificate);
  } catch {
    return undefined;
  }
}

function issuedByOneOf(
  { certificates }: Authorities,
  { certificate, now }: { certificate: X509Certificate; now: number },
): boolean {
  if (!isForClients(certificate) || !isValid(certificate, now)) return false;
  return certificates.flatMap((pem) => pem.match(PEM) ?? []).some((pem) => {
    const issuer = read(pem);
    return issuer !== undefined && issuer.ca && isValid(issuer, now) &&
      certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  });
}

/** Without the extension a certificate is for every use. */
function isForClients({ raw }: X509Certificate): boolean {
  try {
    const uses = certificateExtension(raw, EXTENDED_KEY_USAGE);
    return uses === undefined || uses.some((use) => derHex(use) === CLIENT_AUTHENTICATION);
  } catch {
    return false;
  }
}

function isValid({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now < Date.parse(validTo);
}
