/** Services and EndpointSlices as an API server has them, read as far as anything here asks. */
import { asRecord } from "../source/decode/decoder.ts";
import type { Labels } from "../model/objects.ts";
import type { OwnerReference } from "./manifests.ts";

/** A value as it came from the API server. */
export type Stored = Readonly<Record<string, unknown>>;

export interface ExistingObject {
  kind: "Service" | "EndpointSlice";
  namespace: string;
  name: string;
  uid: string;
  labels: Labels;
  annotations: Labels;
  ownerReferences: readonly OwnerReference[];
  /** It has a deletionTimestamp: it goes, and its name is free afterwards. */
  deleting: boolean;
  /** All of it. */
  stored: Stored;
}

/** Undefined for what is neither, or has no name. Never throws. */
export function existingObject(value: unknown): ExistingObject | undefined {
  const stored = asRecord(value);
  const meta = asRecord(stored?.metadata);
  const kind = stored?.kind;
  if (stored === undefined || meta === undefined) return undefined;
  if (kind !== "Service" && kind !== "EndpointSlice") return undefined;
  const { namespace, name, uid } = meta;
  if (typeof namespace !== "string" || typeof name !== "string") return undefined;
  return {
    kind,
    namespace,
    name,
    uid: typeof uid === "string" ? uid : "",
    labels: texts(meta.labels),
    annotations: texts(meta.annotations),
    ownerReferences: records(meta.ownerReferences).flatMap(ownerReference),
    deleting: meta.deletionTimestamp !== undefined && meta.deletionTimestamp !== null,
    stored,
  };
}

/** The members of a map that are texts. */
function texts(value: unknown): Labels {
  return Object.fromEntries(
    Object.entries(asRecord(value) ?? {}).flatMap(([name, entry]) =>
      typeof entry === "string" ? [[name, entry]] : []
    ),
  );
}

/** The entries of a list that are objects. */
export function records(value: unknown): Stored[] {
  return (Array.isArray(value) ? value : []).flatMap((entry) => {
    const record = asRecord(entry);
    return record === undefined ? [] : [record];
  });
}

function ownerReference(value: Stored): OwnerReference[] {
  const { apiVersion, kind, name, uid, controller } = value;
  if (typeof apiVersion !== "string" || typeof kind !== "string") return [];
  if (typeof name !== "string" || typeof uid !== "string") return [];
  return [{ apiVersion, kind, name, uid, controller: controller === true }];
}
