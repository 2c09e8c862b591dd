/** The payloads that travel, and their validation at the border. */
import { decodeResource } from "./decode.ts";
import { decodeLastValue } from "./decode_value.ts";
import { asInteger, asList, asObject, asString, asText, malformed, optional } from "./fields.ts";
import { RefusalError } from "./refusal.ts";
import { type LastValue, type Resource, SCHEMA } from "./schema.ts";

/** An object that caused a version. */
export interface Change {
  /** `<Kind>/<namespace>/<name>`. */
  object: string;
  uid: string;
  generation: number;
  /** Who last wrote it. */
  manager: string;
}

/** Where a version comes from. */
export interface SnapshotMeta {
  changes: Change[];
  /** Milliseconds since the epoch, by the controller's clock. */
  time: number;
  /** Why, when it was not a change of objects (a rollback, a new lineage). */
  reason?: string;
}

/** Last-value data that must be at hand before a version serves; satisfied by ≥. */
export interface Need {
  subject: string;
  epoch: number;
  sequence: number;
}

/** Payload of a delta and of a checkpoint. */
export interface SnapshotPayload {
  schema: number;
  lineage: string;
  scope: string;
  epoch: number;
  version: number;
  /** Digest before this version; empty in a checkpoint. */
  baseDigest: string;
  /** Digest after it. */
  digest: string;
  /** Chain hash of the scope's preceding message; empty when the writer knows of none. */
  previous: string;
  needs: Need[];
  set: ReadonlyMap<string, Resource>;
  deleted: string[];
  meta: SnapshotMeta;
}

/** Payload of last-value data. */
export interface ValuePayload {
  schema: number;
  lineage: string;
  /** `<ns>/<service>/<port>`, scope, or slot: with the value's kind it names the subject. */
  key: string;
  epoch: number;
  /** The writer's own counter, rising within an epoch. */
  sequence: number;
  value: LastValue;
  /** Milliseconds since the epoch. */
  time: number;
}

/** Payload of `lgw.v1.epoch`: who may write. */
export interface EpochPayload {
  lineage: string;
  /** The lineage that this one continues. */
  previousLineage?: string;
  epoch: number;
  holder: string;
  /** Milliseconds since the epoch. */
  time: number;
}

/** The value of `Lgw-Scope` on an epoch message. */
export const EPOCH_SCOPE = "epoch";

/** The plain data of a snapshot payload, ready for canonical JSON. */
export function snapshotData(payload: SnapshotPayload): Record<string, unknown> {
  return { ...payload, set: Object.fromEntries(payload.set) };
}

/** @throws {RefusalError} and nothing else. */
export function parseSnapshot(data: unknown, features: ReadonlySet<string>): SnapshotPayload {
  const fields = asObject(data, "payload");
  const schema = knownSchema(fields["schema"]);
  const set = new Map<string, Resource>();
  for (const [id, value] of Object.entries(asObject(fields["set"], "set"))) {
    set.set(id, decodeResource(id, value, features));
  }
  const deleted = asList(fields["deleted"], "deleted", asText);
  if (deleted.some((id) => set.has(id))) throw malformed("deleted", "an id is also in set");
  return {
    schema,
    lineage: asText(fields["lineage"], "lineage"),
    scope: asText(fields["scope"], "scope"),
    epoch: asInteger(fields["epoch"], "epoch", { min: 1 }),
    version: asInteger(fields["version"], "version", { min: 1 }),
    baseDigest: asString(fields["baseDigest"], "baseDigest"),
    digest: asText(fields["digest"], "digest"),
    previous: asString(fields["previous"], "previous"),
    needs: asList(fields["needs"], "needs", parseNeed),
    set,
    deleted,
    meta: parseMeta(fields["meta"]),
  };
}

/** @throws {RefusalError} and nothing else. */
export function parseValue(data: unknown): ValuePayload {
  const fields = asObject(data, "payload");
  return {
    schema: knownSchema(fields["schema"]),
    lineage: asText(fields["lineage"], "lineage"),
    key: asText(fields["key"], "key"),
    epoch: asInteger(fields["epoch"], "epoch", { min: 1 }),
    sequence: asInteger(fields["sequence"], "sequence", { min: 1 }),
    value: decodeLastValue(fields["value"]),
    time: asInteger(fields["time"], "time"),
  };
}

/** @throws {RefusalError} and nothing else. */
export function parseEpoch(data: unknown): EpochPayload {
  const fields = asObject(data, "payload");
  const previousLineage = optional(
    fields,
    "previousLineage",
    (value) => asText(value, "previousLineage"),
  );
  const epoch: EpochPayload = {
    lineage: asText(fields["lineage"], "lineage"),
    epoch: asInteger(fields["epoch"], "epoch", { min: 1 }),
    holder: asText(fields["holder"], "holder"),
    time: asInteger(fields["time"], "time"),
  };
  return previousLineage === undefined ? epoch : { ...epoch, previousLineage };
}

function knownSchema(value: unknown): number {
  const schema = asInteger(value, "schema", { min: 1 });
  if (schema > SCHEMA) throw new RefusalError("schema", `schema ${schema}; known up to ${SCHEMA}`);
  return schema;
}

function parseNeed(value: unknown, path: string): Need {
  const fields = asObject(value, path);
  return {
    subject: asText(fields["subject"], `${path}.subject`),
    epoch: asInteger(fields["epoch"], `${path}.epoch`, { min: 1 }),
    sequence: asInteger(fields["sequence"], `${path}.sequence`, { min: 1 }),
  };
}

function parseMeta(value: unknown): SnapshotMeta {
  const fields = asObject(value, "meta");
  const reason = optional(fields, "reason", (v) => asString(v, "meta.reason"));
  const meta: SnapshotMeta = {
    changes: asList(fields["changes"], "meta.changes", parseChange),
    time: asInteger(fields["time"], "meta.time"),
  };
  return reason === undefined ? meta : { ...meta, reason };
}

function parseChange(value: unknown, path: string): Change {
  const fields = asObject(value, path);
  return {
    object: asText(fields["object"], `${path}.object`),
    uid: asString(fields["uid"], `${path}.uid`),
    generation: asInteger(fields["generation"], `${path}.generation`),
    manager: asString(fields["manager"], `${path}.manager`),
  };
}
