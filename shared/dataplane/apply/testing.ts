/** A data plane for tests: remembers what it is given. */
import type { BindMap, EndpointSet } from "../../snapshot/schema.ts";
import type {
  ApplyTarget,
  OpenedCertificate,
  TrustedAuthorities,
  VerifiedSnapshot,
} from "./types.ts";

export class RecordingTarget implements ApplyTarget {
  readonly snapshots = new Map<string, VerifiedSnapshot>();
  /** Every swap in order: `<scope>@<version>`. */
  readonly swaps: string[] = [];
  readonly endpoints = new Map<string, EndpointSet>();
  readonly binds = new Map<string, BindMap>();
  readonly certificates = new Map<string, OpenedCertificate>();
  readonly trust = new Map<string, TrustedAuthorities>();
  /** What {@linkcode RecordingTarget.prepare} throws, when set. */
  problem = "";
  isComplete = true;

  prepare(snapshot: VerifiedSnapshot): () => void {
    if (this.problem !== "") throw new Error(this.problem);
    return () => {
      this.snapshots.set(snapshot.scope, snapshot);
      this.swaps.push(`${snapshot.scope}@${snapshot.version}`);
    };
  }
  removeScope(scope: string): void {
    this.snapshots.delete(scope);
    this.binds.delete(scope);
  }
  setEndpoints(key: string, set: EndpointSet): void {
    this.endpoints.set(key, set);
  }
  removeEndpoints(key: string): void {
    this.endpoints.delete(key);
  }
  setBinds(scope: string, binds: BindMap): Promise<void> {
    this.binds.set(scope, binds);
    return Promise.resolve();
  }
  setCertificate(certificate: OpenedCertificate): void {
    this.certificates.set(certificate.slot, certificate);
  }
  removeCertificate(slot: string): void {
    this.certificates.delete(slot);
  }
  setTrust(authorities: TrustedAuthorities): void {
    this.trust.set(authorities.slot, authorities);
  }
  removeTrust(slot: string): void {
    this.trust.delete(slot);
  }
  bindFailures() {
    return [];
  }
  boundPorts() {
    return [];
  }
  complete(): boolean {
    return this.isComplete;
  }
}
