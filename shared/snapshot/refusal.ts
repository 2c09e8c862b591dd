/** Why a message is not applied. The names are label values of metrics and heartbeats: stable. */
export type RefusalReason =
  /** Signed by a key that the reader does not trust. */
  | "key"
  /** The signature does not fit payload and type. */
  | "signature"
  /** Headers or encoding are malformed, or the headers say something else than the payload. */
  | "envelope"
  /** A chunk is missing, repeated, foreign or corrupt. */
  | "chunk"
  /** Larger than the reader's bound. */
  | "size"
  /** Speaks of another scope, key or subject than the one it came in for. */
  | "scope"
  /** A schema number that this reader does not know. */
  | "schema"
  /** Another lineage, without a signed link from the known one. */
  | "lineage"
  /** A stale leader's, or from an epoch that was never announced. */
  | "epoch"
  /** Does not follow the version at hand. */
  | "version"
  /** The delta builds on another content, or on another message, than the one at hand. */
  | "base"
  /** The content does not have the digest that was signed. */
  | "digest"
  /** The payload or a resource has the wrong form. */
  | "content"
  /** A resource needs a feature that this reader lacks. */
  | "requires"
  /** The data plane could not compile it. */
  | "compile";

/** A message was refused: it has no effect, the last good state stays. */
export class RefusalError extends Error {
  override readonly name = "RefusalError";
  readonly reason: RefusalReason;
  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
