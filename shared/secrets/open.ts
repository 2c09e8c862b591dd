/** Opening what was sealed to this fleet. */
import { compactDecrypt } from "jose";
import { type FleetPrivateKey, importFleetKey } from "./fleet_key.ts";
import { BINDING_HEADER, type SealBinding } from "./seal.ts";

/** The seal does not open here. The message names the slot and never the content. */
export class SealError extends Error {
  override readonly name = "SealError";
}

/**
 * The PEM private key in `sealed`.
 * @throws {SealError} for another fleet's key, another slot or fingerprint, or changed bytes.
 */
export async function openKey(
  sealed: string,
  options: SealBinding & { key: FleetPrivateKey },
): Promise<string> {
  const { fleet, slot, fingerprint, key } = options;
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(
      sealed,
      await importFleetKey(key),
      { keyManagementAlgorithms: ["ECDH-ES"], contentEncryptionAlgorithms: ["A256GCM"] },
    );
    // Key order is ours: the text was written by sealKey and is authenticated.
    if (
      JSON.stringify(protectedHeader[BINDING_HEADER]) !==
        JSON.stringify({ fleet, slot, fingerprint })
    ) {
      throw new SealError(`${slot}: sealed for another fleet, slot or certificate`);
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(plaintext);
  } catch (error) {
    if (error instanceof SealError) throw error;
    // The cause is left out: it could quote what it failed on.
    throw new SealError(`${slot}: does not open with this fleet's key`);
  }
}
