/** For tests: an authority in memory that issues certificates, good ones and odd ones. */
// The library resolves its parts by reflection and wants the polyfill loaded before it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { SelfSigned } from "./self_signed.ts";

export interface IssueOptions {
  /** DNS names of the certificate. */
  dns?: string[];
  uris?: string[];
  /** Default: valid for hours around now. */
  notBefore?: Date;
  notAfter?: Date;
  /** Extended key usages, as object identifiers; default none. */
  uses?: string[];
  /** Another authority, whose certificate this is. */
  authority?: boolean;
}

export interface TestAuthority {
  /** PEM. */
  certificate: string;
  /** Leaf alone; the authority's own certificate is not in the chain. */
  issue(options?: IssueOptions): Promise<SelfSigned>;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR = 3_600_000;

function validity({ notBefore, notAfter }: IssueOptions) {
  const now = Date.now();
  return {
    notBefore: notBefore ?? new Date(now - HOUR),
    notAfter: notAfter ?? new Date(now + 12 * HOUR),
  };
}

/** Makes an authority with a key of its own; equal names are different authorities. */
export async function testAuthority(name = "authority"): Promise<TestAuthority> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const subject = `CN=${name}`;
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject,
    ...validity({}),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    certificate: root.toString("pem"),
    issue: async (options = {}) => {
      const own = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
      const { dns = [], uris = [], uses = [], authority = false } = options;
      const names = [
        ...uris.map((value) => ({ type: "url" as const, value })),
        ...dns.map((value) => ({ type: "dns" as const, value })),
      ];
      const leaf = await x509.X509CertificateGenerator.create({
        subject: "CN=leaf",
        issuer: subject,
        ...validity(options),
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(authority, undefined, true),
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
          ...(uses.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(uses)]),
        ],
      });
      const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", own.privateKey));
      const base64 = btoa(String.fromCharCode(...pkcs8)).match(/.{1,64}/g) ?? [];
      const key = `-----BEGIN PRIVATE KEY-----\n${base64.join("\n")}\n-----END PRIVATE KEY-----\n`;
      return { certificate: leaf.toString("pem"), key };
    },
  };
}
