/** Where the cluster keeps what it makes. Nothing is written into the checkout. */

/** Folders and files of the cluster; all absolute. */
export interface ClusterPaths {
  /** Built binaries, `<name>-<version>/<name>`; kept when the cluster is taken down. */
  cache: string;
  /** State of the one cluster of this user; `down` removes it. */
  state: string;
  /** Sockets and what the container runtime mounts: short names, on a file system in memory. */
  run: string;
  /** Credentials of the administrator. */
  kubeconfig: string;
  kubectl: string;
  logs: string;
  pids: string;
  pki: string;
  containerdSocket: string;
}

/** The paths for an environment (`XDG_CACHE_HOME`, else `HOME`). */
export function clusterPaths(
  env: Pick<Deno.Env, "get">,
  versions: { kubernetes: string },
): ClusterPaths {
  const cache = `${
    env.get("XDG_CACHE_HOME") ?? `${env.get("HOME") ?? "/root"}/.cache`
  }/light-k8s-gateway`;
  const state = `${cache}/cluster`;
  const run = "/run/light-k8s-gateway";
  return {
    cache,
    state,
    run,
    kubeconfig: `${state}/kubeconfig`,
    kubectl: `${cache}/kubectl-${versions.kubernetes}/kubectl`,
    logs: `${state}/logs`,
    pids: `${state}/pids`,
    pki: `${state}/pki`,
    containerdSocket: `${run}/containerd/containerd.sock`,
  };
}

/**
 * The kubeconfig that a command should use: the one that `KUBECONFIG` names, else this cluster's.
 * `foreign` says that it is a cluster that somebody else made.
 */
export function currentKubeconfig(
  env: Pick<Deno.Env, "get">,
  paths: Pick<ClusterPaths, "kubeconfig">,
): { path: string; foreign: boolean } {
  const named = env.get("KUBECONFIG") ?? "";
  const foreign = named !== "" && named !== paths.kubeconfig;
  return { path: foreign ? named : paths.kubeconfig, foreign };
}
