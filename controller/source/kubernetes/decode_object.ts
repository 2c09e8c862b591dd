/**
 * From an object of the API to a typed one. The server has judged it by its schema and filled in
 * defaults: what cannot be decoded all the same is a problem that names the field.
 */
import { type KubeObject, type Labels, objectKey, type ObjectMeta } from "../../model/objects.ts";
import type { Problem } from "../batch.ts";
import { asRecord, FAIL, fieldName, type Finding } from "../decode/decoder.ts";
import type { KindRow } from "../kinds.ts";
import type { RawObject } from "./raw_object.ts";

export interface DecodedObject {
  key: string;
  /** Absent when it cannot be read: its last good form stays. */
  object?: KubeObject;
  problems: Problem[];
}

/** Decodes an object of a row's kind. */
export function decodeObject(row: KindRow, raw: RawObject): DecodedObject {
  const { namespace, name } = raw;
  const key = objectKey(row.kind, namespace, name);
  const problems: Problem[] = [];
  const report = ({ severity, path, message }: Finding) => {
    // The server's schema knows more fields than are read here: those are no news.
    if (severity === "warning") return;
    const field = fieldName(path);
    problems.push({
      severity,
      file: "kubernetes",
      line: 1,
      column: 1,
      object: key,
      ...(field === "" ? {} : { field }),
      message,
    });
  };
  const decoded = row.decode(raw.body, { at: { path: [], report }, meta: metaOf(raw) });
  return decoded === FAIL ? { key, problems } : { key, object: decoded, problems };
}

function metaOf({ namespace, name, uid, metadata }: RawObject): ObjectMeta {
  const { generation, creationTimestamp } = metadata;
  return {
    namespace,
    name,
    uid,
    // Kinds of the core group count no generations.
    generation: typeof generation === "number" ? generation : 1,
    created: typeof creationTimestamp === "string"
      ? Math.floor(Date.parse(creationTimestamp) / 1000)
      : 0,
    labels: labelsOf(metadata.labels),
    manager: managerOf(metadata.managedFields),
  };
}

function labelsOf(value: unknown): Labels {
  const labels: Record<string, string> = {};
  for (const [name, text] of Object.entries(asRecord(value) ?? {})) {
    if (typeof text === "string") labels[name] = text;
  }
  return labels;
}

/** Who wrote last, statuses apart. */
function managerOf(value: unknown): string {
  let [manager, latest] = ["", ""];
  for (const entry of Array.isArray(value) ? value : []) {
    const { manager: name, time, subresource } = asRecord(entry) ?? {};
    if (typeof name !== "string" || subresource !== undefined) continue;
    const at = typeof time === "string" ? time : "";
    if (at >= latest) [manager, latest] = [name, at];
  }
  return manager;
}
