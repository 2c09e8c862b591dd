/**
 * Fleet ports that were given back. For a while clients and load balancers may still send what is
 * meant for the Gateway that had one: nobody else gets it, the same Gateway port may have it back.
 */
import type { HeldPort } from "./binds.ts";

/** Milliseconds that a freed port is held. */
const HELD_FOR = 10 * 60_000;

type Binds = ReadonlyMap<string, ReadonlyMap<number, number>>;

export class FreedPorts {
  /** Fleet port → who had it, and until when it is held. At most one entry per port there is. */
  readonly #held = new Map<number, HeldPort & { until: number }>();
  #binds: Binds = new Map();

  /** Takes the allocation in force, the first one from our Services. `now`: monotonic milliseconds. */
  update(binds: Binds, now: number): void {
    const used = new Set([...binds.values()].flatMap((own) => [...own.values()]));
    for (const [scope, own] of this.#binds) {
      for (const [port, fleetPort] of own) {
        if (used.has(fleetPort)) continue;
        this.#held.set(fleetPort, { scope, port, fleetPort, until: now + HELD_FOR });
      }
    }
    for (const fleetPort of used) this.#held.delete(fleetPort);
    this.#binds = binds;
  }

  /** What is held now, for `allocateBinds`. */
  held(now: number): HeldPort[] {
    for (const [fleetPort, { until }] of this.#held) {
      if (until <= now) this.#held.delete(fleetPort);
    }
    return [...this.#held.values()].map(({ scope, port, fleetPort }) => ({
      scope,
      port,
      fleetPort,
    }));
  }
}
