/** What the API server holds of the statuses that are ours to write. */
import type { StoredStatus } from "../../status/merge.ts";
import type { Resource } from "./resource.ts";

/** An object as far as writing its status needs it. */
export interface StoredObject {
  /** `<Kind>/<namespace>/<name>`. */
  key: string;
  resource: Resource;
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  /** Absent when the object has none yet. */
  status?: StoredStatus;
}
