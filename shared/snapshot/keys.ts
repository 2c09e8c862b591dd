/** Ed25519 keys: who may write, and whom a reader trusts. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { Buffer } from "node:buffer";
import { hex, sha256 } from "./hash.ts";

/** DER before the 32 raw bytes of an Ed25519 public key (RFC 8410 §4). */
const SPKI_PREFIX = Uint8Array.from(Buffer.from("302a300506032b6570032100", "hex"));
const RAW_LENGTH = 32;

/** A fresh key pair in the texts that files and configuration hold. */
export interface SigningKeyTexts {
  /** Base64 of PKCS #8 DER. Secret. */
  privateKey: string;
  /** Base64 of the 32 raw bytes. */
  publicKey: string;
  keyId: string;
}

/** First 16 hex digits of the SHA-256 of the raw public key. */
export function keyIdOf(rawPublicKey: Uint8Array): string {
  return hex(sha256(rawPublicKey)).slice(0, 16);
}

function rawPublicKey(key: KeyObject): Uint8Array {
  const der = createPublicKey(key).export({ format: "der", type: "spki" });
  return Uint8Array.from(der.subarray(der.length - RAW_LENGTH));
}

/** Makes a signing key. */
export function generateSigningKey(): SigningKeyTexts {
  const pair = generateKeyPairSync("ed25519");
  const der = pair.privateKey.export({ format: "der", type: "pkcs8" });
  const spki = pair.publicKey.export({ format: "der", type: "spki" });
  const raw = spki.subarray(spki.length - RAW_LENGTH);
  return {
    privateKey: Buffer.from(der).toString("base64"),
    publicKey: Buffer.from(raw).toString("base64"),
    keyId: keyIdOf(raw),
  };
}

/** Signs with one private key. */
export interface Signer {
  readonly keyId: string;
  /** Base64 of the 32 raw bytes of the public key. */
  readonly publicKey: string;
  /** The 64 bytes of the Ed25519 signature over `bytes`. */
  sign(bytes: Uint8Array): Uint8Array;
}

/**
 * A signer from base64 of a PKCS #8 DER Ed25519 key.
 * @throws {TypeError} when the text is no such key; the message does not repeat it.
 */
export function createSigner(privateKey: string): Signer {
  let key: KeyObject;
  try {
    key = createPrivateKey({
      key: Buffer.from(privateKey.trim(), "base64"),
      format: "der",
      type: "pkcs8",
    });
  } catch {
    throw new TypeError("signing key: not base64 of a PKCS #8 private key");
  }
  if (key.asymmetricKeyType !== "ed25519") throw new TypeError("signing key: not an Ed25519 key");
  const raw = rawPublicKey(key);
  return {
    keyId: keyIdOf(raw),
    publicKey: Buffer.from(raw).toString("base64"),
    sign: (bytes) => sign(null, bytes, key),
  };
}

/** The public keys that a reader trusts. */
export class KeySet {
  readonly #keys = new Map<string, KeyObject>();

  /**
   * @param publicKeys base64 of 32 raw bytes each.
   * @throws {TypeError} when one is not.
   */
  constructor(publicKeys: Iterable<string>) {
    for (const text of publicKeys) {
      const raw = Uint8Array.from(Buffer.from(text.trim(), "base64"));
      if (raw.length !== RAW_LENGTH) {
        throw new TypeError(`public key "${text}": not base64 of ${RAW_LENGTH} bytes`);
      }
      const der = Buffer.concat([SPKI_PREFIX, raw]);
      this.#keys.set(keyIdOf(raw), createPublicKey({ key: der, format: "der", type: "spki" }));
    }
  }

  /** Key ids, sorted. */
  get ids(): string[] {
    return [...this.#keys.keys()].sort();
  }

  has(keyId: string): boolean {
    return this.#keys.has(keyId);
  }

  /** True when `signature` over `bytes` is by the trusted key `keyId`. */
  verify(keyId: string, bytes: Uint8Array, signature: Uint8Array): boolean {
    const key = this.#keys.get(keyId);
    return key !== undefined && verify(null, bytes, key, signature);
  }
}
