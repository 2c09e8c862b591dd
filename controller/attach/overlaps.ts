/** TLS listeners of one port that a client's reused connection can confuse (GEP-3567). */
import { hostnamesIntersect } from "../../shared/gwapi/hostname.ts";
import type { CertificateDecision } from "./certificates.ts";

/** Reasons of the condition OverlappingTLSConfig. */
export type OverlapReason = "OverlappingHostnames" | "OverlappingCertificates";

export interface Overlap {
  reason: OverlapReason;
  message: string;
}

/** What an overlap depends on. */
export interface TlsListener {
  /** Unique among the listeners of a Gateway and its sets. */
  key: string;
  name: string;
  /** Key of the object that it belongs to. */
  owner: string;
  port: number;
  /** Lower-case; empty = every host. */
  hostname: string;
  certificates: readonly CertificateDecision[];
}

/**
 * The overlap of a listener with others of its port; certificates are told before hostnames, as
 * the spec asks where both overlap.
 */
export function overlapOf(
  listener: TlsListener,
  others: readonly TlsListener[],
): Overlap | undefined {
  const beside = others.filter((other) =>
    other.key !== listener.key && other.port === listener.port
  );
  const advice = "; requests that reuse a connection for the other listener get 421";
  for (const other of beside) {
    const shared = sharedName(listener, other);
    if (shared === undefined) continue;
    return {
      reason: "OverlappingCertificates",
      message: `certificates here and in ${told(other, listener)} are both valid for ${shared}` +
        advice,
    };
  }
  const near = beside.find((other) => hostnamesIntersect(listener.hostname, other.hostname));
  if (near === undefined) return undefined;
  const host = near.hostname === "" ? "every host" : near.hostname;
  return {
    reason: "OverlappingHostnames",
    message: `${told(near, listener)} is for ${host}` + advice,
  };
}

/** Owners need not know of each other: a listener of somebody else's is not named. */
function told(other: TlsListener, listener: TlsListener): string {
  return other.owner === listener.owner
    ? `listener "${other.name}"`
    : "a listener of another object on this Gateway";
}

/** A name that certificates of both are valid for. */
function sharedName(a: TlsListener, b: TlsListener): string | undefined {
  for (const one of a.certificates) {
    for (const two of b.certificates) {
      if (!one.ok || !two.ok) continue;
      const shared = one.material.names.find((name) =>
        two.material.names.some((other) => hostnamesIntersect(name, other))
      );
      if (shared !== undefined) return shared;
    }
  }
  return undefined;
}
