/** The fleet ports in force: allocated once per change, kept, and avoided where they cannot be bound. */
import type { Clock } from "../../shared/lib/clock.ts";
import type { Logger } from "../../shared/lib/log.ts";
import type { BindMap } from "../../shared/snapshot/schema.ts";
import { allocateBinds, bindMap } from "./binds.ts";
import { portOfKey } from "../model/port_keys.ts";
import { FreedPorts } from "./freed_ports.ts";

export type Binds = ReadonlyMap<string, ReadonlyMap<number, number>>;

export interface FleetPortsOptions {
  /** Gateway port → the fleet port that it should get. */
  preferred: (port: number) => number;
  /** The highest port of the fleet. Default 65535. */
  last?: number;
  /**
   * Does the fleet serve clients that may still send to a port that was given back? Then nobody
   * else gets it for a while. Default: no.
   */
  holdFreed?: boolean;
  /**
   * What another controller has in force while that one decides; undefined while this one does. One
   * that stands by must not follow a history of its own: with the lead every port would move.
   */
  inForce?: () => Binds | undefined;
  clock: Clock;
  log: Logger;
}

/** Milliseconds that a port stays unused after a proxy could not bind it. */
const QUARANTINE = 10 * 60_000;

export class FleetPorts {
  readonly #options: FleetPortsOptions;
  readonly #freed = new FreedPorts();
  /** Fleet port → monotonic milliseconds until which it is not used. */
  readonly #quarantine = new Map<number, number>();
  #declared: ReadonlyMap<string, readonly number[]> | undefined;
  /** Fleet ports that were not to be used at the last allocation. */
  #avoided = "";
  #binds: Binds = new Map();
  #maps: ReadonlyMap<string, BindMap> = new Map();
  #exhausted: ReadonlyMap<string, string> = new Map();

  constructor(options: FleetPortsOptions) {
    this.#options = options;
  }

  /** Scope → declared port → fleet port. The same object until something is different. */
  get binds(): Binds {
    return this.#binds;
  }

  /** The same as last-value data. */
  get maps(): ReadonlyMap<string, BindMap> {
    return this.#maps;
  }

  /** Why a scope lacks a port, for its Gateway's status. */
  exhausted(scope: string): string | undefined {
    return this.#exhausted.get(scope);
  }

  /** What is in force, by whomever: the next allocation keeps it. */
  restore(binds: Binds): void {
    this.#binds = binds;
    this.#declared = undefined;
    if (this.#options.holdFreed) this.#freed.update(binds, this.#options.clock.monotonic());
  }

  /** Some proxy could not bind these. True when one of them is in use, and has to be moved. */
  avoid(ports: ReadonlySet<number>): boolean {
    const used = new Set([...this.#binds.values()].flatMap((own) => [...own.values()]));
    let moved = false;
    for (const port of ports) {
      if (!used.has(port) || this.#quarantine.has(port)) continue;
      this.#quarantine.set(port, this.#options.clock.monotonic() + QUARANTINE);
      moved = true;
    }
    return moved;
  }

  /** Allocates for what is declared; nothing is worked out when neither that nor the rest changed. */
  allocate(declared: ReadonlyMap<string, readonly number[]>): void {
    const { clock, preferred, log, last, holdFreed = false } = this.#options;
    const now = clock.monotonic();
    for (const [port, until] of this.#quarantine) {
      if (until <= now) this.#quarantine.delete(port);
    }
    const unusable = new Set(this.#quarantine.keys());
    const inForce = this.#options.inForce?.();
    if (inForce !== undefined) this.restore(inForce);
    // What is not declared any more is free from now on, and must not pass to another in this turn.
    if (holdFreed && inForce === undefined && this.#declared !== declared) {
      this.#freed.update(stillDeclared(this.#binds, declared), now);
    }
    const held = holdFreed ? this.#freed.held(now) : [];
    // Held ports are missed only where none is left.
    const avoided = () =>
      [...unusable, ...this.#exhausted.size > 0 ? held.map(({ fleetPort }) => fleetPort) : []]
        .join();
    if (this.#declared === declared && this.#avoided === avoided()) return;
    const requests = [...declared].map(([scope, ports]) => ({ scope, ports }));
    const { binds, exhausted } = allocateBinds(requests, {
      previous: this.#binds,
      unusable,
      preferred,
      ...(last === undefined ? {} : { last }),
      ...(holdFreed ? { held } : {}),
    });
    for (const { scope, port } of exhausted) {
      log.error("no_fleet_port_left", { scope, ...portOfKey(port) });
    }
    this.#exhausted = new Map(
      exhausted.map((
        { scope, port },
      ) => [scope, `no port of the fleet is left for port ${portOfKey(port).port}`]),
    );
    // A guess of one who stands by gives nothing back.
    if (holdFreed && inForce === undefined) this.#freed.update(binds, now);
    this.#declared = declared;
    this.#avoided = avoided();
    this.#binds = binds;
    this.#maps = new Map([...binds].map(([scope, own]) => [scope, bindMap(own)]));
  }
}

/** The part of an allocation that is asked for still. */
function stillDeclared(binds: Binds, declared: ReadonlyMap<string, readonly number[]>): Binds {
  return new Map([...binds].map(([scope, own]) => {
    const ports = new Set(declared.get(scope));
    return [scope, new Map([...own].filter(([port]) => ports.has(port)))];
  }));
}
