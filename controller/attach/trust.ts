/** Which authorities a reference leads to: the certificates in a ConfigMap, under `ca.crt`. */
import { X509Certificate } from "node:crypto";
import { trustSlot } from "../../shared/snapshot/ids.ts";
import type { ConfigMap } from "../model/objects.ts";
import type { CaRef } from "../model/tls_objects.ts";
import type { TrustMaterial } from "../publish/types.ts";
import type { ClusterView } from "../store/view.ts";
import { grantHint, type Reference, referenceAllowed } from "./grants.ts";

/** What became of one caCertificateRef. */
export type TrustDecision =
  | { ok: true; material: TrustMaterial }
  | {
    ok: false;
    /** What is wrong; each kind of object has reasons of its own for it. */
    problem: "kind" | "reference" | "permission";
    message: string;
  };

/** Results by ConfigMap object: a ConfigMap never changes, so it is checked once. */
export type TrustCache = WeakMap<ConfigMap, TrustMaterial | string>;

export interface TrustContext {
  view: ClusterView;
  cache: TrustCache;
  /** Who refers. */
  from: Reference["from"];
  /** Names the reference in messages. */
  field: string;
}

/** Kind, then grant, then existence: a missing grant never reveals what exists. */
export function decideTrust(
  ref: CaRef,
  { view, cache, from, field }: TrustContext,
): TrustDecision {
  if (ref.group !== "" || ref.kind !== "ConfigMap") {
    return {
      ok: false,
      problem: "kind",
      message: `${field}: ${ref.kind} of group "${ref.group}" is not supported; use a ConfigMap`,
    };
  }
  const namespace = ref.namespace ?? from.namespace;
  const name = `ConfigMap "${namespace}/${ref.name}"`;
  const reference = { from, to: { group: "", kind: "ConfigMap", namespace, name: ref.name } };
  if (!referenceAllowed(view, reference)) {
    const message = `${field}: ${name} may not be used from here; ${grantHint(reference)}`;
    return { ok: false, problem: "permission", message };
  }
  const configMap = view.get("ConfigMap", namespace, ref.name);
  if (configMap === undefined) {
    const message = `${field}: ${name} does not exist; create it`;
    return { ok: false, problem: "reference", message };
  }
  let checked = cache.get(configMap);
  if (checked === undefined) cache.set(configMap, checked = checkConfigMap(configMap));
  return typeof checked === "string"
    ? { ok: false, problem: "reference", message: `${field}: ${name} ${checked}` }
    : { ok: true, material: checked };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a ConfigMap, or what is wrong with it. */
function checkConfigMap({ meta, data }: ConfigMap): TrustMaterial | string {
  const text = data.get("ca.crt");
  if (text === undefined) return `has no certificate; put it under "ca.crt"`;
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) return `has no PEM certificate under "ca.crt"`;
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      return `has a certificate under "ca.crt", number ${index + 1}, that cannot be read`;
    }
  }
  return {
    slot: trustSlot(meta.namespace, meta.name),
    certificates: blocks.map((block) => `${block.replaceAll("\r", "")}\n`).join(""),
  };
}
