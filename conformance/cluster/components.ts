/** The long-running programs of the cluster and their command lines, in the order of their start. */
import {
  API_PORT,
  CLUSTER_CIDR,
  ETCD_PEER_URL,
  ETCD_URL,
  NODE_IP,
  NODE_NAME,
  SERVICE_CIDR,
} from "./addresses.ts";
import { type BinaryName, binaryPath } from "./binaries.ts";
import type { ClusterPaths } from "./paths.ts";

/** The components, in the order of their start. */
export const COMPONENT_NAMES = [
  "etcd",
  "kube-apiserver",
  "containerd",
  "kube-controller-manager",
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
] as const;

/** One of the cluster's long-running programs. */
export type ComponentName = typeof COMPONENT_NAMES[number];

/** Whether a text names a component. */
export function isComponentName(name: string): name is ComponentName {
  return COMPONENT_NAMES.some((known) => known === name);
}

/**
 * The command line of a component, the program first. Each names a file of the cluster's own
 * folders, which tells its process from any other of that name.
 */
export function componentCommand(name: ComponentName, paths: ClusterPaths): string[] {
  const file = (path: string) => `${paths.state}/${path}`;
  const pki = (path: string) => `${paths.pki}/${path}`;
  const program = (binary: BinaryName) => binaryPath(binary, paths);
  switch (name) {
    case "etcd":
      return [
        program(name),
        `--data-dir=${file("etcd")}`,
        `--listen-client-urls=${ETCD_URL}`,
        `--advertise-client-urls=${ETCD_URL}`,
        `--listen-peer-urls=${ETCD_PEER_URL}`,
        `--initial-advertise-peer-urls=${ETCD_PEER_URL}`,
        `--initial-cluster=default=${ETCD_PEER_URL}`,
        // What a crash of the machine would lose is thrown away with the cluster.
        "--unsafe-no-fsync",
        "--auto-compaction-retention=10m",
      ];
    case "kube-apiserver":
      return [
        program(name),
        `--etcd-servers=${ETCD_URL}`,
        `--bind-address=${NODE_IP}`,
        `--advertise-address=${NODE_IP}`,
        `--secure-port=${API_PORT}`,
        `--service-cluster-ip-range=${SERVICE_CIDR}`,
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        `--client-ca-file=${pki("ca.crt")}`,
        `--tls-cert-file=${pki("apiserver.crt")}`,
        `--tls-private-key-file=${pki("apiserver.key")}`,
        `--kubelet-client-certificate=${pki("apiserver-kubelet-client.crt")}`,
        `--kubelet-client-key=${pki("apiserver-kubelet-client.key")}`,
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        `--service-account-signing-key-file=${pki("sa.key")}`,
        `--service-account-key-file=${pki("sa.pub")}`,
        "--shutdown-delay-duration=0s",
      ];
    case "containerd":
      return ["/usr/bin/containerd", `--config=${file("containerd.toml")}`];
    case "kube-controller-manager":
      return [
        program(name),
        `--kubeconfig=${file("kube-controller-manager.kubeconfig")}`,
        "--bind-address=127.0.0.1",
        "--use-service-account-credentials",
        `--service-account-private-key-file=${pki("sa.key")}`,
        `--root-ca-file=${pki("ca.crt")}`,
        `--cluster-signing-cert-file=${pki("ca.crt")}`,
        `--cluster-signing-key-file=${pki("ca.key")}`,
        "--allocate-node-cidrs",
        `--cluster-cidr=${CLUSTER_CIDR}`,
        `--service-cluster-ip-range=${SERVICE_CIDR}`,
        "--leader-elect=false",
        `--flex-volume-plugin-dir=${file("volume-plugins")}`,
        // A burst of namespaces and Deployments, as the suite makes them, must not queue up.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
      ];
    case "kube-scheduler":
      return [
        program(name),
        `--kubeconfig=${file("kube-scheduler.kubeconfig")}`,
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
      ];
    case "kubelet":
      return [
        program(name),
        `--config=${file("kubelet.json")}`,
        `--kubeconfig=${file("kubelet.kubeconfig")}`,
        `--root-dir=${file("kubelet")}`,
        `--cert-dir=${file("kubelet-pki")}`,
        `--hostname-override=${NODE_NAME}`,
        `--node-ip=${NODE_IP}`,
      ];
    case "kube-proxy":
      return [program(name), `--config=${file("kube-proxy.json")}`];
  }
}

/** Which subject of the PKI a component's kubeconfig speaks for. */
export const KUBECONFIGS = {
  "kube-controller-manager": "controller-manager",
  "kube-scheduler": "scheduler",
  "kubelet": "kubelet",
  "kube-proxy": "proxy",
} as const;
