/** The images of the cluster, made from our own builds, and the import of images of any origin. */
import { type BinaryName, ensureBinary } from "./binaries.ts";
import { PAUSE_IMAGE } from "./configuration.ts";
import { writeDockerArchive } from "../../deploy/images/docker_archive.ts";
import type { ClusterPaths } from "./paths.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import type { TarEntry } from "../../deploy/images/tar.ts";

const ECHO = "registry.k8s.io/gateway-api/conformance/echo-basic";
/** The image of the cluster's DNS server. */
export const COREDNS_IMAGE = "registry.k8s.io/coredns/coredns:built";
const NONROOT = 65532;

interface ImageSource {
  binary: BinaryName;
  names: readonly string[];
  user: string;
}

/** One program each. The suite's manifests name the echo server by two tags. */
export const IMAGES: readonly ImageSource[] = [
  { binary: "pause", names: [PAUSE_IMAGE], user: "65535:65535" },
  { binary: "echo-basic", names: [`${ECHO}:v0.1.0`, `${ECHO}:v0.2.0`], user: "nonroot:nonroot" },
  { binary: "coredns", names: [COREDNS_IMAGE], user: "0:0" },
];

/** Runs containerd's client in the namespace that the kubelet uses. */
export async function ctr(
  args: readonly string[],
  options: { paths: ClusterPaths; mayFail?: boolean },
): Promise<string> {
  const { paths, mayFail = false } = options;
  const command = ["ctr", "--address", paths.containerdSocket, "--namespace", "k8s.io", ...args];
  const { stdout } = await runCommand(command, { mayFail });
  return stdout;
}

/** Names of the images that the cluster has. */
export async function imageNames(paths: ClusterPaths): Promise<string[]> {
  const lines = (await ctr(["images", "list", "--quiet"], { paths })).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("sha256:"));
}

/** Imports an archive of images (`docker save`, or an OCI layout as tar). */
export async function importImages(
  archive: string,
  options: { paths: ClusterPaths },
): Promise<string> {
  await Deno.stat(archive).catch(() => {
    throw new Error(`${archive}: there is no such archive`);
  });
  return await ctr(["images", "import", archive], options);
}

/** Makes and imports an image unless the cluster has it. */
export async function ensureImage(
  source: ImageSource,
  options: { paths: ClusterPaths; onProgress: (line: string) => void },
): Promise<void> {
  const { paths } = options;
  const present = await imageNames(paths);
  if (source.names.every((name) => present.includes(name))) return;
  const program = await ensureBinary(source.binary, options);
  options.onProgress(`importing ${source.names.join(", ")}`);
  const folder = await Deno.makeTempDir({ prefix: "lgw-archive-" });
  try {
    const path = `${folder}/${source.binary}.tar`;
    await writeDockerArchive({
      path,
      names: source.names,
      layers: [programLayer(source.binary, program)],
      config: { Entrypoint: [`/${source.binary}`], User: source.user },
    });
    await importImages(path, { paths });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A static program at the root, and the names of the users that an image may run as. */
function programLayer(name: string, file: string): TarEntry[] {
  const text = (value: string) => new TextEncoder().encode(value);
  return [
    { kind: "folder", path: "etc" },
    {
      kind: "file",
      path: "etc/passwd",
      content: text(
        `root:x:0:0:root:/:/sbin/nologin\nnonroot:x:${NONROOT}:${NONROOT}::/:/sbin/nologin\n`,
      ),
    },
    {
      kind: "file",
      path: "etc/group",
      content: text(`root:x:0:\nnonroot:x:${NONROOT}:\n`),
    },
    { kind: "folder", path: "tmp", mode: 0o1777 },
    { kind: "file", path: name, mode: 0o755, content: { file } },
  ];
}
