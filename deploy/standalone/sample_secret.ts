/** Certificates of samples: made at start, their keys in memory only. */
import { stringify } from "@std/yaml";
import { type SelfSigned, selfSigned } from "../../shared/secrets/self_signed.ts";

const DAY = 24 * 3600 * 1000;

/** A certificate for some names, valid for a month. */
export function sampleCertificate(names: readonly string[], now: Date): Promise<SelfSigned> {
  return selfSigned({
    names,
    notBefore: new Date(now.getTime() - DAY),
    notAfter: new Date(now.getTime() + 30 * DAY),
  });
}

/** The Secret that a listener of samples refers to, as a manifest. Holds the private key. */
export function sampleSecret(
  metadata: { name: string; namespace: string },
  { certificate, key }: SelfSigned,
): string {
  return stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata,
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": certificate, "tls.key": key },
  });
}
