/**
 * Which port of the fleet serves which port of which Gateway. Two Gateways never share a port:
 * their routes must stay apart even when both declare port 80.
 */
import type { BindMap } from "../../shared/snapshot/schema.ts";
import { portOfKey } from "../model/port_keys.ts";

/** A Gateway with the ports that its listeners declare, as keys (`model/port_keys.ts`). */
export interface BindRequest {
  scope: string;
  ports: readonly number[];
}

/** A fleet port that was given back a short while ago. */
export interface HeldPort {
  scope: string;
  port: number;
  fleetPort: number;
}

export interface BindOptions {
  /** Scope → Gateway port → fleet port, as allocated before. Kept wherever possible. */
  previous: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** Fleet ports that a proxy could not bind. */
  unusable: ReadonlySet<number>;
  /** The port that a Gateway port should get when it is free. */
  preferred: (port: number) => number;
  /** Ports that only the Gateway port that had them may get. Default none. */
  held?: readonly HeldPort[];
  /** The highest port of the fleet. Default 65535. */
  last?: number;
}

/**
 * Ports of a shared fleet: none that needs privileges, none that the kernel gives to outgoing
 * connections (32768 and up on Linux), none that the proxies' own endpoints use.
 */
export const SHARED_FLEET_PORTS = { first: 10_000, last: 32_767 } as const;

/** Privileged ports are mapped up, 80 → 8080 and 443 → 8443; others stay. */
export function standalonePort(port: number): number {
  if (port === 80) return 8080;
  if (port === 443) return 8443;
  return port < 1024 ? port + 8000 : port;
}

/** A Gateway port for which no fleet port is left. */
export interface BindExhausted {
  scope: string;
  port: number;
}

/** The allocation: what every scope gets, and what could not be served. */
export interface Allocation {
  binds: Map<string, Map<number, number>>;
  exhausted: BindExhausted[];
}

const LAST_PORT = 65_535;

/**
 * Allocates a fleet port for every Gateway port: the previous one if it is still usable, else the
 * preferred one, else the next free one above. Deterministic: Gateways in order of their scope.
 */
export function allocateBinds(
  requests: readonly BindRequest[],
  options: BindOptions,
): Allocation {
  const { previous, unusable, preferred, held = [], last = LAST_PORT } = options;
  const sorted = [...requests].sort((a, b) => a.scope < b.scope ? -1 : 1);
  const taken = new Set(unusable);
  const had = new Map(held.map(({ scope, port, fleetPort }) => [`${scope} ${port}`, fleetPort]));
  const binds = new Map<string, Map<number, number>>();
  for (const { scope, ports } of sorted) {
    const kept = new Map<number, number>();
    for (const port of ports) {
      const before = previous.get(scope)?.get(port) ?? had.get(`${scope} ${port}`);
      if (before === undefined || taken.has(before)) continue;
      taken.add(before);
      kept.set(port, before);
    }
    binds.set(scope, kept);
  }
  for (const { fleetPort } of held) taken.add(fleetPort);
  const exhausted: BindExhausted[] = [];
  for (const { scope, ports } of sorted) {
    const own = binds.get(scope) as Map<number, number>;
    for (const port of [...new Set(ports)].sort((a, b) => a - b)) {
      if (own.has(port)) continue;
      let candidate = preferred(portOfKey(port).port);
      while (candidate <= last && taken.has(candidate)) candidate++;
      if (candidate > last) {
        exhausted.push({ scope, port });
        continue;
      }
      taken.add(candidate);
      own.set(port, candidate);
    }
  }
  return { binds, exhausted };
}

/** The allocation of one scope as last-value data. */
export function bindMap(ports: ReadonlyMap<number, number>): BindMap {
  const of = (wanted: "TCP" | "UDP") =>
    [...ports].sort(([a], [b]) => a - b).flatMap(([key, fleetPort]) => {
      const { port, transport } = portOfKey(key);
      return transport === wanted ? [{ port, fleetPort }] : [];
    });
  const udp = of("UDP");
  return { kind: "bind", ports: of("TCP"), ...(udp.length === 0 ? {} : { udp }) };
}
