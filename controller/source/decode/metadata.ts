/** What the controller reads of an object's metadata. */
import type { KindRow } from "../kinds.ts";
import {
  check,
  type Decoder,
  FAIL,
  type Fail,
  fail,
  object,
  optional,
  required,
  string,
  stringMap,
} from "./decoder.ts";
import * as format from "./formats.ts";

interface RawMetadata {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  creationTimestamp?: string;
}

export interface Metadata {
  name: string;
  namespace: string;
  labels: Record<string, string>;
  /** Seconds since the epoch; absent when the manifest does not say. */
  created?: number;
}

const timestamp: Decoder<string> = check(string(), (value, at) => {
  if (Number.isNaN(Date.parse(value))) fail(at, `"${value}" is not a time such as ${EXAMPLE}`);
});
const EXAMPLE = "2026-01-31T12:00:00Z";

const raw = object<RawMetadata>({
  name: required(format.ownName),
  namespace: optional(format.namespaceName),
  labels: optional(stringMap),
  creationTimestamp: optional(timestamp),
}, {
  ignore: [
    ...["annotations", "uid", "resourceVersion", "generation", "managedFields", "finalizers"],
    ...["ownerReferences", "generateName", "selfLink", "deletionTimestamp"],
    "deletionGracePeriodSeconds",
  ],
});

/** Decodes metadata; a namespaced object without a namespace is in `default`. */
export function metadata(row: KindRow): Decoder<Metadata> {
  return (value, at): Metadata | Fail => {
    const decoded = raw(value, at);
    if (decoded === FAIL) return FAIL;
    const { name, labels = {}, creationTimestamp } = decoded;
    const namespace = row.namespaced ? decoded.namespace ?? "default" : "";
    const created = creationTimestamp === undefined
      ? {}
      : { created: Math.floor(Date.parse(creationTimestamp) / 1000) };
    return { name, namespace, labels, ...created };
  };
}
