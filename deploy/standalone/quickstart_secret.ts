/** The certificate of the quick start: made at start, its key in memory only. */
import { stringify } from "@std/yaml";
import { selfSigned } from "../../shared/secrets/self_signed.ts";

const DAY = 24 * 3600 * 1000;

export interface QuickstartSecret {
  /** The Secret as a manifest. Holds the private key. */
  manifest: string;
  /** PEM, for `curl --cacert`. */
  certificate: string;
}

/** Makes the Secret that `deploy/samples/quickstart/gateway.yaml` refers to. */
export async function quickstartSecret(now: Date): Promise<QuickstartSecret> {
  const { certificate, key } = await selfSigned({
    names: ["*.example.com"],
    notBefore: new Date(now.getTime() - DAY),
    notAfter: new Date(now.getTime() + 30 * DAY),
  });
  const manifest = stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "quickstart-tls", namespace: "quickstart" },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": certificate, "tls.key": key },
  });
  return { manifest, certificate };
}
