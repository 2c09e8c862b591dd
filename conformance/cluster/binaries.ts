/** Builds the cluster's programs from pinned Go modules into the cache, once per version. */
import type { ClusterPaths } from "./paths.ts";
import { isFile } from "../../shared/lib/files.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { requireGo } from "../programs/go.ts";
import {
  COREDNS_VERSION,
  ECHO_BASIC_VERSION,
  ETCD_VERSION,
  GO_TOOLCHAIN,
  KUBERNETES_VERSION,
  PAUSE_VERSION,
} from "./versions.ts";

/** A program and where its source is. */
export interface Binary {
  name: string;
  version: string;
  /** Folder of its go.mod, relative to this one. */
  module: string;
  /** The package of its `main`. */
  package: string;
  /** The Go release it needs, when that is newer than most machines have. */
  toolchain?: string;
}

const kubernetes = (name: string): Binary => ({
  name,
  version: KUBERNETES_VERSION,
  module: "modules/kubernetes",
  package: `k8s.io/kubernetes/cmd/${name}`,
});

/** Every program, by the name that {@linkcode ensureBinary} takes. */
export const BINARIES = {
  "etcd": {
    name: "etcd",
    version: ETCD_VERSION,
    module: "modules/etcd",
    package: "go.etcd.io/etcd/server/v3",
  },
  "kube-apiserver": kubernetes("kube-apiserver"),
  "kubectl": kubernetes("kubectl"),
  "kube-controller-manager": kubernetes("kube-controller-manager"),
  "kube-scheduler": kubernetes("kube-scheduler"),
  "kubelet": kubernetes("kubelet"),
  "kube-proxy": kubernetes("kube-proxy"),
  "pause": { name: "pause", version: PAUSE_VERSION, module: "pause", package: "." },
  "echo-basic": {
    name: "echo-basic",
    version: ECHO_BASIC_VERSION,
    module: "modules/echo-basic",
    package: "sigs.k8s.io/gateway-api-conformance-images/echo-basic",
  },
  "coredns": {
    name: "coredns",
    version: COREDNS_VERSION,
    module: "modules/coredns",
    package: "github.com/coredns/coredns",
    toolchain: GO_TOOLCHAIN,
  },
} as const satisfies Readonly<Record<string, Binary>>;

/** The name of one of the cluster's programs. */
export type BinaryName = keyof typeof BINARIES;

/** Where a program is, or will be, in the cache. */
export function binaryPath(name: BinaryName, paths: Pick<ClusterPaths, "cache">): string {
  const { version } = BINARIES[name];
  return `${paths.cache}/${name}-${version}/${name}`;
}

/**
 * The flags of the linker. Kubernetes takes its version from there: clients refuse a server that
 * says v0.0.0.
 */
export function linkerFlags(binary: Binary): string {
  const flags = ["-s", "-w"];
  const version = /^v(\d+)\.(\d+)\./.exec(binary.version);
  if (binary.package.startsWith("k8s.io/kubernetes/") && version !== null) {
    for (const path of ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]) {
      flags.push(`-X ${path}.gitVersion=${binary.version}`);
      flags.push(`-X ${path}.gitMajor=${version[1]}`, `-X ${path}.gitMinor=${version[2]}`);
    }
  }
  return flags.join(" ");
}

/** The path of a program, built when it is not in the cache. */
export async function ensureBinary(
  name: BinaryName,
  options: { paths: Pick<ClusterPaths, "cache">; onProgress: (line: string) => void },
): Promise<string> {
  const binary: Binary = BINARIES[name];
  const target = binaryPath(name, options.paths);
  if (await isFile(target)) return target;
  await requireGo();
  options.onProgress(`building ${name} ${binary.version} (once)`);
  await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
  const unfinished = `${target}.unfinished`;
  await runCommand(
    [
      "go",
      "build",
      "-trimpath",
      "-buildvcs=false",
      "-ldflags",
      linkerFlags(binary),
      "-o",
      unfinished,
      binary.package,
    ],
    {
      cwd: new URL(binary.module, import.meta.url).pathname,
      env: {
        CGO_ENABLED: "0",
        GOWORK: "off",
        ...(binary.toolchain === undefined ? {} : { GOTOOLCHAIN: binary.toolchain }),
      },
      timeout: 1_800_000,
    },
  );
  await Deno.rename(unfinished, target);
  return target;
}
