/**
 * How connections to a backend are secured, with everything that it takes: authorities, identity,
 * the Gateway's own certificate. Tables name slots; what is in them changes without a new table.
 */
import { createHash } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import type { CertificateStore } from "../serve/tls_contexts.ts";
import type { TableTls } from "../table/types.ts";
import type { ServerIdentity } from "./server_identity.ts";
import type { TrustBundles } from "./trust_bundles.ts";

/** Everything that one kind of connection needs. Immutable. */
export interface TlsProfile extends ServerIdentity {
  /**
   * Equal exactly when authorities, names and own certificate are: connections are shared under it,
   * and under nothing less, so that Gateways never use each other's identity.
   */
  readonly key: string;
  readonly context: SecureContext;
}

/** Told when somebody does not ask for connections of a profile any more; others still may. */
export interface ProfileObserver {
  closeIdle(profile: string): void;
}

interface Known {
  generation: string;
  profile: TlsProfile | undefined;
}

export interface TlsProfilesOptions {
  trust: TrustBundles;
  certificates: CertificateStore;
  observers: readonly ProfileObserver[];
}

/** Profiles by what a table says; a setting that leaves with its table takes its profile along. */
export class TlsProfiles {
  readonly #options: TlsProfilesOptions;
  readonly #known = new WeakMap<TableTls, Known>();
  /** The same for settings of several routes; what nobody uses any more goes with its users. */
  readonly #shared = new Map<string, WeakRef<TlsProfile>>();

  constructor(options: TlsProfilesOptions) {
    this.#options = options;
  }

  /** Undefined while something that it names is not here: then there is no connection at all. */
  get(tls: TableTls): TlsProfile | undefined {
    const { trust, certificates } = this.#options;
    const generation = `${trust.generation} ${certificates.generation}`;
    const known = this.#known.get(tls);
    if (known?.generation === generation) return known.profile;
    const profile = this.#make(tls);
    const before = known?.profile?.key;
    if (before !== undefined && before !== profile?.key) {
      for (const observer of this.#options.observers) observer.closeIdle(before);
    }
    this.#known.set(tls, { generation, profile });
    return profile;
  }

  #make({ serverName, subjectAltNames, trust, clientCertificate }: TableTls) {
    const { trust: bundles, certificates } = this.#options;
    const authorities = trust === null ? null : bundles.of(trust);
    const own = clientCertificate === "" ? null : certificates.get(clientCertificate);
    if (authorities === undefined || own === undefined) return undefined;
    const names = subjectAltNames.map(({ type, value }) => `${type}:${value}`);
    const parts = [serverName, names, authorities?.key ?? null, own?.fingerprint ?? null];
    const key = createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
    const shared = this.#shared.get(key)?.deref();
    if (shared !== undefined) return shared;
    const profile: TlsProfile = {
      key,
      serverName,
      subjectAltNames,
      context: createSecureContext({
        minVersion: "TLSv1.2",
        ...(authorities === null ? {} : { ca: [...authorities.certificates] }),
        ...(own === null ? {} : { cert: own.chain, key: own.key }),
      }),
    };
    for (const [old, reference] of this.#shared) {
      if (reference.deref() === undefined) this.#shared.delete(old);
    }
    this.#shared.set(key, new WeakRef(profile));
    return profile;
  }
}
