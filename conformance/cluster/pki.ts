/** The cluster's certificates: one CA, and a certificate per component that speaks for itself. */
// The library resolves its parts by reflection and wants the polyfill loaded before it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { API_SERVICE_IP, NODE_IP, NODE_NAME } from "./addresses.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const VALID_DAYS = 365;
const DAY = 86_400_000;

/** Who a certificate is for. */
export interface Subject {
  commonName: string;
  /** The user's group, for clients. */
  organization?: string;
  /** Server names and addresses; empty for clients. */
  dns?: readonly string[];
  ips?: readonly string[];
}

/** File name → subject, as RBAC expects them (Kubernetes, "PKI certificates and requirements"). */
export const SUBJECTS = {
  "apiserver": {
    commonName: "kube-apiserver",
    dns: [
      "localhost",
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      "kubernetes.default.svc.cluster.local",
    ],
    ips: ["127.0.0.1", API_SERVICE_IP, NODE_IP],
  },
  "apiserver-kubelet-client": { commonName: "kube-apiserver", organization: "system:masters" },
  "admin": { commonName: "admin", organization: "system:masters" },
  "controller-manager": { commonName: "system:kube-controller-manager" },
  "scheduler": { commonName: "system:kube-scheduler" },
  "kubelet": { commonName: `system:node:${NODE_NAME}`, organization: "system:nodes" },
  "proxy": { commonName: "system:kube-proxy" },
} as const satisfies Readonly<Record<string, Subject>>;

/** The name of a certificate and its key in the folder of the PKI. */
export type SubjectName = keyof typeof SUBJECTS;

/** The files of the PKI: name → PEM text. */
export type PkiFiles = Readonly<Record<string, string>>;

/**
 * Makes a CA, a certificate and key per subject (`NAME.crt`, `NAME.key`), and the key that signs
 * ServiceAccount tokens (`sa.key`, `sa.pub`).
 */
export async function makePki(options: { now: Date }): Promise<PkiFiles> {
  const notBefore = new Date(options.now.getTime() - 60_000);
  const notAfter = new Date(options.now.getTime() + VALID_DAYS * DAY);
  const validity = { notBefore, notAfter };
  const files: Record<string, string> = {};
  const caKeys = await generateKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=kubernetes-ca",
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  files["ca.crt"] = `${ca.toString("pem")}\n`;
  // Kept for the signer of the controller manager (CertificateSigningRequests).
  files["ca.key"] = await privatePem(caKeys.privateKey);
  for (const [name, subject] of Object.entries<Subject>(SUBJECTS)) {
    const keys = await generateKeys();
    const names = [
      ...(subject.dns ?? []).map((value) => ({ type: "dns" as const, value })),
      ...(subject.ips ?? []).map((value) => ({ type: "ip" as const, value })),
    ];
    const certificate = await x509.X509CertificateGenerator.create({
      subject: [
        ...(subject.organization === undefined ? [] : [{ O: [subject.organization] }]),
        { CN: [subject.commonName] },
      ],
      issuer: ca.subject,
      ...validity,
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
        ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      ],
    });
    files[`${name}.crt`] = `${certificate.toString("pem")}\n`;
    files[`${name}.key`] = await privatePem(keys.privateKey);
  }
  const tokens = await generateKeys();
  files["sa.key"] = await privatePem(tokens.privateKey);
  files["sa.pub"] = pem("PUBLIC KEY", await crypto.subtle.exportKey("spki", tokens.publicKey));
  return files;
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function privatePem(key: CryptoKey): Promise<string> {
  return pem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", key));
}

function pem(label: string, der: ArrayBuffer): string {
  const base64 = btoa(String.fromCharCode(...new Uint8Array(der)));
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
