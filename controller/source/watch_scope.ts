/** Which objects this controller looks at, as its settings say. */
import type { KubeObject } from "../model/objects.ts";
import type { Batch } from "./batch.ts";

export interface WatchScope {
  /** The one class to serve; empty = every class that names the controller. */
  gatewayClassName: string;
  /** Namespaces whose objects count; empty = all of them. */
  watchNamespaces: readonly string[];
}

/** The batch without the objects that are out of scope. */
export function withinScope(batch: Batch, scope: WatchScope): Batch {
  const { gatewayClassName, watchNamespaces } = scope;
  if (gatewayClassName === "" && watchNamespaces.length === 0) return batch;
  const namespaces = new Set(watchNamespaces);
  const watched = ({ kind, meta }: KubeObject) => {
    if (kind === "GatewayClass") return gatewayClassName === "" || meta.name === gatewayClassName;
    // What has no namespace, a Namespace among it, belongs to all of them.
    return meta.namespace === "" || namespaces.size === 0 || namespaces.has(meta.namespace);
  };
  return { ...batch, upserts: batch.upserts.filter(watched) };
}
