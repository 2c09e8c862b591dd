/** What the compiler asks the publisher to make true on the bus. */
import type { BindMap, EndpointSet, Resource } from "../../shared/snapshot/schema.ts";

/** The object that a resource came from: provenance of a version. */
export interface SourceObject {
  /** `<Kind>/<namespace>/<name>`. */
  object: string;
  uid: string;
  generation: number;
  /** Who last wrote it: field manager, or the file. */
  manager: string;
}

/** A scope's content with the objects behind it. */
export interface ScopeContent {
  resources: ReadonlyMap<string, Resource>;
  /** Resource id → the object it came from. */
  sources: ReadonlyMap<string, SourceObject>;
}

/** A certificate to distribute. Lives in memory only. */
export interface CertificateMaterial {
  slot: string;
  /** PEM, leaf first. */
  chain: string;
  /** PEM of the private key; prints and serialises as `[redacted]`. */
  key: RedactedText;
  /** `sha256:` + hex of the leaf's DER. */
  fingerprint: string;
  /** Milliseconds since the epoch at which the first certificate of the chain expires. */
  notAfter: number;
}

/** Certificates of authorities to distribute: what they sign is trusted. Nothing secret. */
export interface TrustMaterial {
  slot: string;
  /** PEM, one certificate after the other. */
  certificates: string;
}

/** A text that never prints itself: only {@linkcode RedactedText.reveal} gives it out. */
export class RedactedText {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  reveal(): string {
    return this.#text;
  }
  toString(): string {
    return "[redacted]";
  }
  toJSON(): string {
    return "[redacted]";
  }
  [Symbol.for("Deno.customInspect")](): string {
    return "[redacted]";
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }
}

/** Everything that should be on the bus for one fleet. */
export interface Desired {
  scopes: ReadonlyMap<string, ScopeContent>;
  endpoints: ReadonlyMap<string, EndpointSet>;
  certificates: ReadonlyMap<string, CertificateMaterial>;
  /** Slot → authorities. */
  trust: ReadonlyMap<string, TrustMaterial>;
  /** Scope → bind map. */
  binds: ReadonlyMap<string, BindMap>;
}
