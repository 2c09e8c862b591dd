/** What a publisher is given, and what it tells while it works. */
import type { BusWriter } from "../../shared/bus/transport.ts";
import type { Clock } from "../../shared/lib/clock.ts";
import type { Logger } from "../../shared/lib/log.ts";
import type { FleetPublicKey } from "../../shared/secrets/fleet_key.ts";
import type { Signer } from "../../shared/snapshot/keys.ts";
import type { RefusalError } from "../../shared/snapshot/refusal.ts";

/** A proxy's acknowledgements, as far as the publisher needs them. */
export interface AcknowledgedVersions {
  /** Live proxies: scope → version that each serves. */
  liveVersions(): readonly ReadonlyMap<string, number>[];
  /** Scopes that a live proxy cannot follow until it gets a checkpoint. */
  brokenScopes(): ReadonlySet<string>;
}

/** Called as things happen; must not throw. */
export interface PublishHooks {
  /** A batch was stored. Bytes are those of the bodies; milliseconds from first to last byte. */
  onBatch?(batch: { messages: number; bytes: number; milliseconds: number }): void;
  /** A try failed and will be repeated. */
  onError?(error: unknown): void;
  /** A message on the bus did not verify when read back. */
  onRefused?(subject: string, error: RefusalError): void;
  /** Messages removed from LGW_CURRENT. */
  onPurged?(messages: number): void;
  /** Fill of LGW_CURRENT. */
  onFill?(stream: { bytes: number; maxBytes: number }): void;
}

export interface PublisherOptions {
  bus: BusWriter;
  fleet: string;
  signer: Signer;
  /** Signing keys that are believed besides the signer's own. */
  trustedKeys?: readonly string[];
  /** Public key that certificates are sealed to. */
  fleetKey?: FleetPublicKey;
  /** Who leads, for people. */
  holder: string;
  /** The lineage of an earlier life, in case the stream is gone. */
  previousLineage?: string;
  acks?: AcknowledgedVersions;
  hooks?: PublishHooks;
  clock?: Clock;
  log?: Logger;
  newLineage?: () => string;
  /** How long dropped data stays when no proxy lives, ms. Default 30 s. */
  removalGrace?: number;
}
