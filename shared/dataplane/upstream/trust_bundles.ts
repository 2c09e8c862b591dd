/** Whom the proxy trusts: certificates of authorities, by slot. */
import { createHash } from "node:crypto";
import type { TrustedAuthorities } from "../apply/types.ts";

/** The authorities of one or several slots together. */
export interface Authorities {
  /** Equal exactly when the certificates are. */
  key: string;
  /** PEM, one entry per slot. */
  certificates: readonly string[];
}

interface Bundle {
  certificates: string;
  digest: string;
}

export class TrustBundles {
  readonly #bundles = new Map<string, Bundle>();
  #generation = 0;

  /** Rises whenever what {@linkcode TrustBundles.of} gives may be different. */
  get generation(): number {
    return this.#generation;
  }

  /** Takes or replaces what a slot holds. Equal = no change. */
  set({ slot, certificates }: TrustedAuthorities): void {
    const digest = createHash("sha256").update(certificates).digest("hex");
    if (this.#bundles.get(slot)?.digest === digest) return;
    this.#bundles.set(slot, { certificates, digest });
    this.#generation++;
  }

  delete(slot: string): void {
    if (this.#bundles.delete(slot)) this.#generation++;
  }

  has(slot: string): boolean {
    return this.#bundles.has(slot);
  }

  /**
   * The authorities of all slots. Undefined while one is missing: to trust the others alone could
   * refuse what is meant to be let in, and nobody could tell why.
   */
  of(slots: readonly string[]): Authorities | undefined {
    const bundles: Bundle[] = [];
    for (const slot of slots) {
      const bundle = this.#bundles.get(slot);
      if (bundle === undefined) return undefined;
      bundles.push(bundle);
    }
    return {
      key: bundles.map(({ digest }) => digest).join(" "),
      certificates: bundles.map(({ certificates }) => certificates),
    };
  }

  /** Slot → digest, for dumps. */
  entries(): [string, string][] {
    return [...this.#bundles].map(([slot, { digest }]) => [slot, `sha256:${digest}`]);
  }
}
