/** Sealing a private key to a fleet. */
import { CompactEncrypt, decodeProtectedHeader } from "jose";
import { fleetKeyId, type FleetPublicKey, importFleetKey } from "./fleet_key.ts";

/** What a sealed key belongs to; bound into the seal, so it opens nowhere else. */
export interface SealBinding {
  fleet: string;
  /** `cert/<ns>/<name>`. */
  slot: string;
  /** `sha256:` + hex of the leaf's DER. */
  fingerprint: string;
}

/** Name of the header member that holds the binding. */
export const BINDING_HEADER = "lgw";

/**
 * Compact JWE (ECDH-ES with X25519, A256GCM) of a PEM private key.
 *
 * The binding stands in the protected header: in the compact form that header *is* the additional
 * authenticated data (RFC 7516 §5.1 step 14).
 */
export async function sealKey(
  pem: string,
  options: SealBinding & { recipient: FleetPublicKey },
): Promise<string> {
  const { fleet, slot, fingerprint, recipient } = options;
  return await new CompactEncrypt(new TextEncoder().encode(pem))
    .setProtectedHeader({
      alg: "ECDH-ES",
      enc: "A256GCM",
      kid: await fleetKeyId(recipient),
      [BINDING_HEADER]: { fleet, slot, fingerprint },
    })
    .encrypt(await importFleetKey(recipient));
}

/** Id of the key that `sealed` was sealed to; undefined when the text is no JWE of ours. */
export function sealRecipient(sealed: string): string | undefined {
  try {
    const { kid } = decodeProtectedHeader(sealed);
    return typeof kid === "string" ? kid : undefined;
  } catch {
    return undefined;
  }
}
