/** One volume on the node, for what keeps data longer than a pod lives: claims of its class get it. */
import { kubectl } from "./kube.ts";
import type { ClusterPaths } from "./paths.ts";

export const VOLUME_CLASS = "lgw-node";
const VOLUME = "lgw-node-0";

/** Makes the volume; one whose claim is gone is emptied and made anew. */
export async function ensureVolume(paths: ClusterPaths): Promise<void> {
  const folder = `${paths.state}/volumes/0`;
  const phase = ["get", "pv", VOLUME, "--ignore-not-found", "-o", "jsonpath={.status.phase}"];
  const { stdout } = await kubectl(phase, { paths });
  if (stdout === "Released" || stdout === "Failed") {
    await kubectl(["delete", "pv", VOLUME], { paths });
    await Deno.remove(folder, { recursive: true });
  }
  await Deno.mkdir(folder, { recursive: true });
  // Pods are nobody that this machine knows; the folder above is root's alone.
  await Deno.chmod(folder, 0o777);
  await kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], {
    paths,
    stdin: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects(folder) }),
  });
}

function objects(folder: string): object[] {
  return [{
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: VOLUME_CLASS },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "WaitForFirstConsumer",
  }, {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: VOLUME },
    spec: {
      storageClassName: VOLUME_CLASS,
      capacity: { storage: "4Gi" },
      accessModes: ["ReadWriteOnce"],
      persistentVolumeReclaimPolicy: "Retain",
      hostPath: { path: folder, type: "Directory" },
    },
  }];
}
