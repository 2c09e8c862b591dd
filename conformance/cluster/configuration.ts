/** The configuration files of the components, as texts. */
import {
  CLUSTER_CIDR,
  DNS_IP,
  NODE_BRIDGE,
  NODE_IP,
  NODE_NAME,
  POD_BRIDGE,
  POD_CIDR,
} from "./addresses.ts";
import type { ClusterPaths } from "./paths.ts";

/** Name of the image that holds a pod's namespaces. */
export const PAUSE_IMAGE = "registry.k8s.io/pause:3.6";

/** File name (relative to the state folder) → content. */
export function configurationFiles(paths: ClusterPaths): Readonly<Record<string, string>> {
  return {
    "containerd.toml": containerd(paths),
    "cni/10-pods.conflist": JSON.stringify(cni(paths), null, 2),
    "kubelet.json": JSON.stringify(kubelet(paths), null, 2),
    "kube-proxy.json": JSON.stringify(kubeProxy(paths), null, 2),
  };
}

/** A containerd of our own, beside one that the machine may run. */
function containerd(paths: ClusterPaths): string {
  return `version = 2
root = "${paths.state}/containerd"
state = "${paths.run}/containerd"
[grpc]
  address = "${paths.containerdSocket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${paths.state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a lower score is refused, and with it every sandbox.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${paths.state}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

function cni(paths: ClusterPaths) {
  return {
    cniVersion: "0.4.0",
    name: POD_BRIDGE,
    plugins: [
      {
        type: "bridge",
        bridge: POD_BRIDGE,
        isGateway: true,
        // A pod reaches itself through a Service.
        hairpinMode: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: POD_CIDR }]],
          routes: [{ dst: "0.0.0.0/0" }],
          dataDir: `${paths.state}/ipam`,
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}

function kubelet(paths: ClusterPaths) {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: NODE_IP,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${paths.pki}/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    containerRuntimeEndpoint: `unix://${paths.containerdSocket}`,
    podLogsDir: `${paths.state}/pod-logs`,
    volumePluginDir: `${paths.state}/volume-plugins`,
    clusterDNS: [DNS_IP],
    clusterDomain: "cluster.local",
    // An empty file: the machine's search list is no business of the pods.
    resolvConf: `${paths.state}/resolv.conf`,
    failSwapOn: false,
    failCgroupV1: false,
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    serializeImagePulls: false,
    registryPullQPS: 0,
    evictionHard: {
      "memory.available": "50Mi",
      "nodefs.available": "1%",
      "imagefs.available": "1%",
    },
    // Images are imported, not pulled: what is collected cannot be had again.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    maxPods: 250,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
    eventRecordQPS: 0,
    nodeStatusReportFrequency: "1m",
    shutdownGracePeriod: "0s",
  };
}

function kubeProxy(paths: ClusterPaths) {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clientConnection: { kubeconfig: `${paths.state}/kube-proxy.kubeconfig` },
    hostnameOverride: NODE_NAME,
    clusterCIDR: CLUSTER_CIDR,
    healthzBindAddress: "127.0.0.1:10256",
    metricsBindAddress: "127.0.0.1:10249",
    nodePortAddresses: [`${NODE_IP}/32`],
    conntrack: { maxPerCore: 0 },
    iptables: { minSyncPeriod: "0s", localhostNodePorts: false },
  };
}

/** The name of the interface that carries Services, for what removes it. */
export const INTERFACES = [NODE_BRIDGE, POD_BRIDGE] as const;
