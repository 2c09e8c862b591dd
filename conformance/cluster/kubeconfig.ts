/** The text of a kubeconfig that holds its credentials itself, so that it can be moved about. */
import { API_URL } from "./addresses.ts";
import type { PkiFiles, SubjectName } from "./pki.ts";

/** A kubeconfig for one subject of the PKI. Throws when the PKI lacks a file that it needs. */
export function kubeconfigText(subject: SubjectName, pki: PkiFiles): string {
  const data = (name: string) => {
    const text = pki[name];
    if (text === undefined) throw new Error(`the PKI has no ${name}: take the cluster down and up`);
    return btoa(text);
  };
  return `apiVersion: v1
kind: Config
clusters:
- name: light-k8s-gateway
  cluster:
    server: ${API_URL}
    certificate-authority-data: ${data("ca.crt")}
users:
- name: ${subject}
  user:
    client-certificate-data: ${data(`${subject}.crt`)}
    client-key-data: ${data(`${subject}.key`)}
contexts:
- name: light-k8s-gateway
  context:
    cluster: light-k8s-gateway
    user: ${subject}
current-context: light-k8s-gateway
`;
}
