/** What the apply loop hands to the data plane. Everything here has verified. */
import type { BindMap, EndpointSet, Resources } from "../../snapshot/schema.ts";

/** A scope's snapshot after its signature, order, base and digest were checked. */
export interface VerifiedSnapshot {
  scope: string;
  lineage: string;
  epoch: number;
  version: number;
  /** `sha256:…` of the resources. */
  digest: string;
  resources: Resources;
  /** Ids set or deleted since the snapshot that was last handed over; undefined = all. */
  changed?: ReadonlySet<string>;
}

/** A certificate with its private key, opened; memory only. */
export interface OpenedCertificate {
  slot: string;
  /** PEM, leaf first. */
  chain: string;
  /** PEM; never logged, dumped or written. */
  key: string;
  /** `sha256:` + hex of the leaf's DER. */
  fingerprint: string;
}

/** Certificates of authorities that clients or backends are checked against. */
export interface TrustedAuthorities {
  slot: string;
  /** PEM, one certificate after the other. */
  certificates: string;
}

/** Puts what was prepared in force. */
export type Swap = () => void | Promise<void>;

/** The data plane, as the apply loop sees it. */
export interface ApplyTarget {
  /**
   * Compiles now, so that content that cannot be compiled is refused (throws or rejects) before
   * anything is swapped. The returned function swaps; it neither throws nor rejects, and what it
   * returns is settled once all of the data plane has swapped.
   */
  prepare(snapshot: VerifiedSnapshot): Swap | Promise<Swap>;
  /** A scope is gone (tombstone): close its sockets and drop its table. */
  removeScope(scope: string): void;
  setEndpoints(key: string, set: EndpointSet): void;
  removeEndpoints(key: string): void;
  /** Binds what is missing, then closes what is gone; a failed bind is reported by `bindFailures`. */
  setBinds(scope: string, binds: BindMap): Promise<void>;
  setCertificate(certificate: OpenedCertificate): void;
  /** No listener refers to the slot any more. */
  removeCertificate(slot: string): void;
  setTrust(authorities: TrustedAuthorities): void;
  /** Nothing refers to the slot any more. */
  removeTrust(slot: string): void;
  /** Fleet ports that could not be bound, for the heartbeat. */
  bindFailures(): { scope: string; port: number; fleetPort: number; error: string }[];
  /** Fleet ports that accept connections, for the heartbeat. */
  boundPorts(): number[];
  /** True when every applied scope has its sockets bound and all that its TLS needs. */
  complete(): boolean;
}
