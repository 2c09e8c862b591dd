/** An object as the API gives it, with the little that is read before its kind matters. */
import { asRecord } from "../decode/decoder.ts";

export interface RawObject {
  /** Empty for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A change that a watch told. */
export interface RawChange {
  kind: "set" | "deleted";
  object: RawObject;
}

/** `<namespace>/<name>`: unique within a collection. */
export function placeOf({ namespace, name }: Pick<RawObject, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}

/** @throws {Error} for what no API server sends. */
export function parseRawObject(value: unknown): RawObject {
  const body = asRecord(value);
  const metadata = asRecord(body?.metadata);
  if (body === undefined || metadata === undefined) throw new Error("an object has no metadata");
  const { name, namespace = "", uid = "", resourceVersion = "" } = metadata;
  if (
    typeof name !== "string" || typeof namespace !== "string" || typeof uid !== "string" ||
    typeof resourceVersion !== "string"
  ) throw new Error("the metadata of an object has members of a wrong type");
  return { namespace, name, uid, resourceVersion, body, metadata };
}

/**
 * Is `a` of an earlier time than `b`? Versions are compared as numbers, which the API promises for
 * its own kinds; others are never called older.
 */
export function olderVersion(a: string, b: string): boolean {
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return a.length === b.length ? a < b : a.length < b.length;
}
