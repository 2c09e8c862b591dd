/**
 * The envelope of every message: DSSE pre-authentication encoding, Ed25519, headers.
 *
 * The signature covers the payload before encoding, so compression never enters what is signed;
 * headers are for routing only and must repeat what the payload says.
 */
import { Buffer } from "node:buffer";
import { deflateSync, inflateSync } from "node:zlib";
import { canonicalBytes } from "./canonical.ts";
import { digestText, sha256 } from "./hash.ts";
import type { KeySet, Signer } from "./keys.ts";
import { RefusalError } from "./refusal.ts";

/** What a payload is; part of what is signed. */
export type MessageType = "delta" | "checkpoint" | "value" | "epoch";

/** Names of the headers. */
export const HEADER = {
  scope: "Lgw-Scope",
  version: "Lgw-Version",
  type: "Lgw-Type",
  keyId: "Lgw-Key-Id",
  signature: "Lgw-Signature",
  encoding: "Lgw-Encoding",
  chunk: "Lgw-Chunk",
  whole: "Lgw-Whole",
  /** Stream sequence of a checkpoint's first chunk: where to start reading. Not signed: a hint. */
  first: "Lgw-First",
} as const;

/** Payloads above this are deflated. */
const DEFLATE_ABOVE = 4096;

/** Bound on one inflated payload, bytes, unless the reader sets another. */
export const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** Headers and body as they travel, before chunking. */
export interface SignedMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What is signed and what the headers repeat. */
export interface Outgoing {
  type: MessageType;
  scope: string;
  version: number;
  /** Plain data; becomes canonical JSON. */
  payload: unknown;
}

/** A signed message with the hash that its successor names as `previous`. */
export interface Sealed {
  message: SignedMessage;
  chain: string;
  /** Bytes of the payload before encoding. */
  payloadBytes: number;
}

/** A message whose signature holds. The payload is not yet validated. */
export interface Opened {
  type: MessageType;
  scope: string;
  version: number;
  keyId: string;
  chain: string;
  payload: unknown;
}

const encoder = new TextEncoder();

/** The payload type that is signed with the payload. */
export function payloadType(type: MessageType): string {
  return `application/vnd.lightapi.gateway.${type}+json`;
}

/** DSSE pre-authentication encoding: `DSSEv1 SP len(type) SP type SP len(body) SP body`. */
export function preAuthEncoding(type: string, payload: Uint8Array): Uint8Array {
  const typeBytes = encoder.encode(type);
  const head = encoder.encode(`DSSEv1 ${typeBytes.length} ${type} ${payload.length} `);
  const out = new Uint8Array(head.length + payload.length);
  out.set(head);
  out.set(payload, head.length);
  return out;
}

/** Hash of a message's signed bytes and its signature header: the link of the chain. */
export function chainHash(signedBytes: Uint8Array, signatureHeader: string): string {
  return digestText(sha256(signedBytes, encoder.encode(signatureHeader)));
}

/** Encodes and signs. @throws {CanonicalError} when the payload is not canonical-JSON-safe. */
export function sealMessage(outgoing: Outgoing, signer: Signer): Sealed {
  const payload = canonicalBytes(outgoing.payload);
  const signed = preAuthEncoding(payloadType(outgoing.type), payload);
  const signature = Buffer.from(signer.sign(signed)).toString("base64");
  const headers: Record<string, string> = {
    [HEADER.scope]: outgoing.scope,
    [HEADER.version]: String(outgoing.version),
    [HEADER.type]: outgoing.type,
    [HEADER.keyId]: signer.keyId,
    [HEADER.signature]: signature,
  };
  let body: Uint8Array = payload;
  if (payload.length > DEFLATE_ABOVE) {
    headers[HEADER.encoding] = "deflate";
    body = deflateSync(payload);
  }
  return {
    message: { headers, body },
    chain: chainHash(signed, signature),
    payloadBytes: payload.length,
  };
}

/** What a reader accepts. */
export interface OpenOptions {
  keys: KeySet;
  /** Bound on the inflated payload, bytes. */
  maxPayloadBytes?: number;
}

/**
 * Checks key and signature and parses the payload as JSON.
 * @throws {RefusalError} and nothing else.
 */
export function openMessage(message: SignedMessage, options: OpenOptions): Opened {
  const { keys, maxPayloadBytes = MAX_PAYLOAD_BYTES } = options;
  const type = messageType(header(message, HEADER.type));
  const scope = header(message, HEADER.scope);
  const version = integerHeader(message, HEADER.version);
  const keyId = header(message, HEADER.keyId);
  if (!keys.has(keyId)) throw new RefusalError("key", `key ${keyId} is not trusted`);
  const signatureText = header(message, HEADER.signature);
  const signature = Buffer.from(signatureText, "base64");
  // Base64 has unused bits at its end: only the one canonical text is the signature.
  if (signature.toString("base64") !== signatureText) {
    throw new RefusalError("signature", `${HEADER.signature} is not canonical base64`);
  }
  const payload = decodeBody(message, maxPayloadBytes);
  const signed = preAuthEncoding(payloadType(type), payload);
  if (signature.length !== 64 || !keys.verify(keyId, signed, signature)) {
    throw new RefusalError("signature", `signature of ${scope} ${version} does not hold`);
  }
  return {
    type,
    scope,
    version,
    keyId,
    chain: chainHash(signed, signatureText),
    payload: parseJson(payload),
  };
}

function header(message: SignedMessage, name: string): string {
  const value = message.headers[name];
  if (value === undefined || value === "") {
    throw new RefusalError("envelope", `header ${name} is missing`);
  }
  return value;
}

function integerHeader(message: SignedMessage, name: string): number {
  const text = header(message, name);
  const value = Number(text);
  if (!/^(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value)) {
    throw new RefusalError("envelope", `header ${name}: "${text}" is not a whole number`);
  }
  return value;
}

function messageType(text: string): MessageType {
  switch (text) {
    case "delta":
    case "checkpoint":
    case "value":
    case "epoch":
      return text;
    default:
      throw new RefusalError("envelope", `header ${HEADER.type}: unknown type "${text}"`);
  }
}

function decodeBody(message: SignedMessage, maxBytes: number): Uint8Array {
  const encoding = message.headers[HEADER.encoding];
  if (message.body.length > maxBytes) {
    throw new RefusalError("size", `body of ${message.body.length} bytes, at most ${maxBytes}`);
  }
  if (encoding === undefined) return message.body;
  if (encoding !== "deflate") {
    throw new RefusalError("envelope", `header ${HEADER.encoding}: unknown encoding`);
  }
  let inflated: Uint8Array;
  try {
    inflated = inflateSync(message.body, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof RangeError) {
      throw new RefusalError("size", `payload inflates to more than ${maxBytes} bytes`);
    }
    throw new RefusalError("envelope", "body does not inflate");
  }
  if (inflated.length > maxBytes) {
    throw new RefusalError("size", `payload inflates to more than ${maxBytes} bytes`);
  }
  return inflated;
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    throw new RefusalError("content", "payload is not JSON in UTF-8");
  }
}
