/** One YAML document → typed objects with their problems; lists are taken apart. */
import { type KubeObject, objectKey } from "../../model/objects.ts";
import type { Problem } from "../batch.ts";
import { asRecord, below, FAIL, fieldName, type Finding, type Path } from "../decode/decoder.ts";
import { metadata } from "../decode/metadata.ts";
import { kindRow, KINDS } from "../kinds.ts";
import type { CrdSet } from "../schema/crd_set.ts";
import type { ManifestDocument, Position } from "./manifest.ts";
import { objectUid } from "./uid.ts";

/** One object of a manifest. */
export type ReadObject =
  | { kind: "object"; key: string; object: KubeObject; created?: number; place: () => Problem }
  /** Known by name but invalid: its last good form stays. */
  | { kind: "invalid"; key: string }
  /** So broken that its name is not known. */
  | { kind: "unknown" }
  /** Of a kind that nothing reads. */
  | { kind: "ignored" };

export interface ReadOptions {
  file: string;
  problems: Problem[];
  /** Judges custom resources. */
  crds: CrdSet;
}

/** Reads the objects of a document; problems are added to `options.problems`. */
export function readObjects(document: ManifestDocument, options: ReadOptions): ReadObject[] {
  const record = asRecord(document.value);
  if (record?.kind === "List" && Array.isArray(record.items)) {
    return record.items.map((item, index) =>
      readObject({ document, value: item, path: ["items", index] }, options)
    );
  }
  return [readObject({ document, value: document.value, path: [] }, options)];
}

interface Place {
  document: ManifestDocument;
  value: unknown;
  path: Path;
}

function readObject(place: Place, { file, problems, crds }: ReadOptions): ReadObject {
  const { document, value, path } = place;
  // Known once the metadata is read; problems before that have a place only.
  const known: { object?: string } = {};
  const report = (finding: Finding) => {
    const field = fieldName(finding.path.slice(path.length));
    problems.push({
      severity: finding.severity,
      file,
      ...document.locate(finding.path, finding.key),
      ...known,
      ...(field === "" ? {} : { field }),
      message: finding.message,
    });
  };
  const at = { path, report };
  const record = asRecord(value);
  const apiVersion = record?.apiVersion;
  const kind = record?.kind;
  if (record === undefined || typeof apiVersion !== "string" || typeof kind !== "string") {
    report({ severity: "error", path, message: `an object needs "apiVersion" and "kind"` });
    return { kind: "unknown" };
  }
  const slash = apiVersion.lastIndexOf("/");
  const [group, version] = [apiVersion.slice(0, Math.max(slash, 0)), apiVersion.slice(slash + 1)];
  const row = kindRow(group, kind);
  if (row === undefined) {
    const same = KINDS.find((entry) => entry.kind === kind);
    const hint = same === undefined ? "" : `; ${kind} is read from group "${same.group}"`;
    const message = `${kind} of ${apiVersion} is not read by this controller${hint}`;
    report({ severity: "warning", path: [...path, "kind"], message });
    return { kind: "ignored" };
  }
  const meta = metadata(row)(record.metadata ?? {}, below(at, "metadata"));
  if (meta === FAIL) return { kind: "unknown" };
  const key = objectKey(row.kind, meta.namespace, meta.name);
  known.object = key;
  if (!row.versions.includes(version)) {
    const message = `version ${version} of ${kind} is not served; use ${row.versions.join(" or ")}`;
    report({ severity: "error", path: [...path, "apiVersion"], message });
    return { kind: "invalid", key };
  }
  const admitted = crds.admit(value, { group, kind, version, at });
  if (admitted === FAIL) return { kind: "invalid", key };
  const { name, namespace, labels } = meta;
  const decoded = row.decode(admitted, {
    at,
    meta: {
      name,
      namespace,
      labels,
      uid: objectUid(key),
      generation: 1,
      created: 0,
      manager: file,
    },
  });
  if (decoded === FAIL) return { kind: "invalid", key };
  const created = meta.created === undefined ? {} : { created: meta.created };
  return {
    kind: "object",
    key,
    object: decoded,
    place: placeOf(place, { file, object: key }),
    ...created,
  };
}

/** Where an object stands, for when another file has the same one. */
function placeOf(
  { document, path }: Place,
  named: { file: string; object: string },
): () => Problem {
  return document.dear
    ? () => problemAt(document.locate(path), named)
    : known(document.locate(path), named);
}

/** Holds on to a position only: a document that was parsed in full is large. */
function known(position: Position, named: { file: string; object: string }): () => Problem {
  return () => problemAt(position, named);
}

function problemAt(position: Position, named: { file: string; object: string }): Problem {
  return { severity: "error", ...position, ...named, message: "" };
}
