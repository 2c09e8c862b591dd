/** The X25519 key of a fleet: certificates' private keys are sealed to it. */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";

/** Public half, as it is given to the controller. */
export interface FleetPublicKey {
  kty: "OKP";
  crv: "X25519";
  /** Base64url of 32 bytes. */
  x: string;
}

/** Both halves, as they are given to the fleet's proxies. Secret. */
export interface FleetPrivateKey extends FleetPublicKey {
  /** Base64url of 32 bytes. */
  d: string;
}

/** Makes a fleet key. */
export async function generateFleetKey(): Promise<FleetPrivateKey> {
  const pair = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
  return parsePrivateKey(await exportJWK(pair.privateKey));
}

/** The half that may be shown. */
export function publicHalf(key: FleetPrivateKey): FleetPublicKey {
  return { kty: "OKP", crv: "X25519", x: key.x };
}

/** Id of a fleet key: its JWK thumbprint (RFC 7638). */
export function fleetKeyId(key: FleetPublicKey): Promise<string> {
  return calculateJwkThumbprint({ kty: key.kty, crv: key.crv, x: key.x });
}

/** @throws {TypeError} when `value` is no X25519 JWK; the message repeats nothing of it. */
export function parsePublicKey(value: unknown): FleetPublicKey {
  const { x } = memberTexts(value);
  return { kty: "OKP", crv: "X25519", x };
}

/** @throws {TypeError} when `value` is no private X25519 JWK; the message repeats nothing of it. */
export function parsePrivateKey(value: unknown): FleetPrivateKey {
  const { x, d } = memberTexts(value);
  if (d === undefined) throw new TypeError("fleet key: the private half is missing");
  return { kty: "OKP", crv: "X25519", x, d };
}

function memberTexts(value: unknown): { x: string; d: string | undefined } {
  const jwk: JWK = typeof value === "object" && value !== null ? value : {};
  const { kty, crv, x, d } = jwk;
  if (kty !== "OKP" || crv !== "X25519" || !isKeyText(x)) {
    throw new TypeError("fleet key: not an X25519 JWK with kty, crv and x");
  }
  if (d !== undefined && !isKeyText(d)) throw new TypeError("fleet key: d is not 32 bytes");
  return { x, d };
}

/** Base64url of 32 bytes, without padding. */
function isKeyText(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9_-]{43}$/.test(value);
}

/** A key that `jose` works with. */
export async function importFleetKey(key: FleetPublicKey | FleetPrivateKey): Promise<CryptoKey> {
  const imported: unknown = await importJWK({ ...key }, "ECDH-ES");
  if (!(imported instanceof CryptoKey)) throw new TypeError("fleet key: a symmetric key");
  return imported;
}
