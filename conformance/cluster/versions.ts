/** What the cluster is made of; every version is pinned here and by the go.sum beside its go.mod. */

/** Kubernetes, of which every component is built. */
export const KUBERNETES_VERSION = "v1.35.4";
export const ETCD_VERSION = "v3.6.16";
export const COREDNS_VERSION = "v1.14.7";
/** The echo server of the conformance suite. */
export const ECHO_BASIC_VERSION = "v0.1.0";
/** Ours: changes when `pause/main.go` does. */
export const PAUSE_VERSION = "v1";
/** The Go release for modules that ask for a newer one than most machines have. */
export const GO_TOOLCHAIN = "go1.27.0";
