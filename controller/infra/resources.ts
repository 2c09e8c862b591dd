/** Where the API server has what we write for Gateways. */
import type { Resource } from "../source/kubernetes/resource.ts";
import type { ObjectName } from "./diff.ts";

export const RESOURCES: Readonly<Record<ObjectName["kind"], Resource>> = {
  Service: { group: "", version: "v1", plural: "services" },
  EndpointSlice: { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" },
};

/** The kinds that have a place in {@linkcode RESOURCES}. */
export const KINDS = ["Service", "EndpointSlice"] as const satisfies readonly ObjectName["kind"][];
