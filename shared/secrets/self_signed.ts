/** Self-signed certificates in memory, for samples and tests. */
// The library resolves its parts by reflection and wants the polyfill loaded before it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

/** PEM texts. The key is meant to be used and forgotten: nothing here writes it anywhere. */
export interface SelfSigned {
  certificate: string;
  key: string;
}

/** What goes into the certificate; names, time and validity as parameters. */
export interface SelfSignedOptions {
  /** DNS names, wildcards included; the first becomes the common name. Not empty. */
  names: readonly string[];
  notBefore: Date;
  notAfter: Date;
}

/** Makes an EC P-256 key and a self-signed certificate for it. */
export async function selfSigned(options: SelfSignedOptions): Promise<SelfSigned> {
  const { names, notBefore, notAfter } = options;
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${names[0]}`,
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: "dns" as const, value })),
      ),
      new x509.BasicConstraintsExtension(false),
    ],
  });
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { certificate: certificate.toString("pem"), key: pem("PRIVATE KEY", pkcs8) };
}

function pem(label: string, der: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...der));
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
