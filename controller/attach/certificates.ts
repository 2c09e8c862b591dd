/** Which Secrets a listener's certificateRefs lead to, and whether a TLS server can use them. */
import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createHash } from "node:crypto";
import { certificateSlot } from "../../shared/snapshot/ids.ts";
import {
  type Gateway,
  GATEWAY_GROUP,
  type ListenerSet,
  type Secret,
  type SecretRef,
} from "../model/objects.ts";
import { type CertificateMaterial, RedactedText } from "../publish/types.ts";
import type { ClusterView } from "../store/view.ts";
import { grantHint, referenceAllowed } from "./grants.ts";
import type { ListenerRefsReason } from "./outcome.ts";

/** A certificate with what decisions need to know of it. */
export interface CheckedCertificate extends CertificateMaterial {
  /** Names of the leaf's subjectAltName, lower-case: DNS names with their wildcards. */
  names: readonly string[];
}

/** What became of one certificateRef. */
export type CertificateDecision =
  | { ok: true; material: CheckedCertificate; secret: Secret }
  | { ok: false; reason: ListenerRefsReason; message: string };

/** Results by Secret object: a Secret never changes, so its certificate is checked once. */
export type CertificateCache = WeakMap<Secret, CheckedCertificate | string>;

export interface CertificateContext {
  view: ClusterView;
  gateway: Gateway;
  cache: CertificateCache;
  /** The set that the listener belongs to: grants name it. Absent = the Gateway's own listener. */
  set?: ListenerSet;
}

function bad(reason: ListenerRefsReason, message: string): CertificateDecision {
  return { ok: false, reason, message };
}

/** Follows one certificateRef. `field` names it in messages. */
export function decideCertificate(
  ref: SecretRef,
  { view, gateway, cache, field, set }: CertificateContext & { field: string },
): CertificateDecision {
  if (ref.group !== "" || ref.kind !== "Secret") {
    const what = `${ref.kind} of group "${ref.group}"`;
    return bad(
      "InvalidCertificateRef",
      `${field}: ${what} is not supported; use a Secret of the core group`,
    );
  }
  const owner = set ?? gateway;
  const namespace = ref.namespace ?? owner.meta.namespace;
  const reference = {
    from: { group: GATEWAY_GROUP, kind: owner.kind, namespace: owner.meta.namespace },
    to: { group: "", kind: "Secret", namespace, name: ref.name },
  };
  if (!referenceAllowed(view, reference)) {
    return bad(
      "RefNotPermitted",
      `${field}: Secret "${namespace}/${ref.name}" may not be used from here; ` +
        grantHint(reference),
    );
  }
  const secret = view.get("Secret", namespace, ref.name);
  if (secret === undefined) {
    return bad(
      "InvalidCertificateRef",
      `${field}: Secret "${namespace}/${ref.name}" does not exist; create it`,
    );
  }
  let checked = cache.get(secret);
  if (checked === undefined) {
    checked = checkSecret(secret);
    cache.set(secret, checked);
  }
  return typeof checked === "string"
    ? bad("InvalidCertificateRef", `${field}: Secret "${namespace}/${ref.name}": ${checked}`)
    : { ok: true, material: checked, secret };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The Secret's certificate, or what is wrong with it. Messages never show the key. */
function checkSecret(secret: Secret): CheckedCertificate | string {
  const chain = secret.data.get("tls.crt")?.reveal();
  const keyText = secret.data.get("tls.key")?.reveal();
  if (chain === undefined || chain === "") return `has no certificate; put it under "tls.crt"`;
  if (keyText === undefined || keyText === "") return `has no private key; put it under "tls.key"`;
  const blocks = chain.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) return `"tls.crt" holds no PEM certificate`;
  let leaf: X509Certificate | undefined;
  let notAfter = Infinity;
  for (const [index, block] of blocks.entries()) {
    try {
      const certificate = new X509Certificate(block);
      leaf ??= certificate;
      notAfter = Math.min(notAfter, Date.parse(certificate.validTo));
    } catch {
      return `certificate ${index + 1} in "tls.crt" cannot be read`;
    }
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(keyText);
  } catch {
    return `"tls.key" is not a PEM private key (encrypted keys are not supported)`;
  }
  if (leaf === undefined || !keyBelongs(leaf, key)) {
    return `the key in "tls.key" does not belong to the first certificate in "tls.crt"`;
  }
  return {
    slot: certificateSlot(secret.meta.namespace, secret.meta.name),
    chain: blocks.map((block) => `${block.replaceAll("\r", "")}\n`).join(""),
    key: new RedactedText(keyText),
    fingerprint: `sha256:${createHash("sha256").update(Buffer.from(leaf.raw)).digest("hex")}`,
    names: dnsNames(leaf),
    notAfter,
  };
}

/** `DNS:a.example, DNS:*.b.example, IP Address:…` */
function dnsNames(leaf: X509Certificate): string[] {
  return (leaf.subjectAltName ?? "").split(/,\s*/).flatMap((entry) =>
    entry.startsWith("DNS:") ? [entry.slice("DNS:".length).toLowerCase()] : []
  );
}

function keyBelongs(leaf: X509Certificate, key: KeyObject): boolean {
  try {
    return leaf.checkPrivateKey(key);
  } catch {
    return false;
  }
}

/** When the next of these certificates expires, milliseconds since the epoch; Infinity = none. */
export function nextExpiry(certificates: Iterable<CertificateMaterial>, now: number): number {
  let next = Infinity;
  for (const { notAfter } of certificates) if (notAfter > now) next = Math.min(next, notAfter);
  return next;
}
