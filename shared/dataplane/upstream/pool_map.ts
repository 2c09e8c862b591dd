/** The pools of a client: by address, and over TLS by profile as well. */
import type { TlsProfile } from "./tls_profiles.ts";

/** An address of an endpoint. */
export interface PoolTarget {
  address: string;
  port: number;
}

/** What the map does to pools. */
export interface MappedPool {
  /** Connections that come free are closed from now on, or are kept again. */
  setRetired(retired: boolean): void;
  /** Closes the connections that carry nothing now. */
  closeIdle(): void;
  close(): void;
}

export class PoolMap<P extends MappedPool> {
  readonly #plain = new Map<string, P>();
  /** `address port` → profile key → pool. */
  readonly #secured = new Map<string, Map<string, P>>();

  get({ address, port }: PoolTarget, tls: TlsProfile | null): P | undefined {
    const key = address + " " + port;
    return tls === null ? this.#plain.get(key) : this.#secured.get(key)?.get(tls.key);
  }

  set({ address, port }: PoolTarget, tls: TlsProfile | null, pool: P): void {
    const key = address + " " + port;
    if (tls === null) return void this.#plain.set(key, pool);
    const pools = this.#secured.get(key);
    if (pools === undefined) this.#secured.set(key, new Map([[tls.key, pool]]));
    else pools.set(tls.key, pool);
  }

  /** Takes a pool out; another that took its place stays. */
  delete(target: PoolTarget, tls: TlsProfile | null, pool: P): void {
    if (this.get(target, tls) !== pool) return;
    const key = target.address + " " + target.port;
    if (tls === null) return void this.#plain.delete(key);
    const pools = this.#secured.get(key);
    pools?.delete(tls.key);
    if (pools?.size === 0) this.#secured.delete(key);
  }

  /** An address left the endpoint sets, or came back. */
  setRetired({ address, port }: PoolTarget, retired: boolean): void {
    const key = address + " " + port;
    this.#plain.get(key)?.setRetired(retired);
    for (const pool of [...this.#secured.get(key)?.values() ?? []]) pool.setRetired(retired);
  }

  /** Closes what carries nothing now, under a profile at every address. */
  closeIdle(profile: string): void {
    for (const pools of [...this.#secured.values()]) pools.get(profile)?.closeIdle();
  }

  *values(): Generator<P> {
    yield* this.#plain.values();
    for (const pools of this.#secured.values()) yield* pools.values();
  }

  /** Closes all of them. */
  close(): void {
    for (const pool of [...this.values()]) pool.close();
    this.#plain.clear();
    this.#secured.clear();
  }
}
