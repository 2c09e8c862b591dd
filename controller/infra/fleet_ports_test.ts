import { assertEquals } from "@std/assert";
import { systemClock } from "../../shared/lib/clock.ts";
import { silentLogger } from "../../shared/lib/log.ts";
import { type Binds, FleetPorts } from "./fleet_ports.ts";

const binds = (own: Record<string, number>): Binds =>
  new Map(Object.entries(own).map(([scope, port]) => [scope, new Map([[80, port]])]));

const declared = (...scopes: string[]) => new Map(scopes.map((scope) => [scope, [80]]));

Deno.test("FleetPorts keeps what another one has in force while it stands by, and when it leads", () => {
  let inForce: Binds | undefined = binds({ a: 10_007 });
  const ports = new FleetPorts({
    preferred: () => 10_000,
    holdFreed: true,
    inForce: () => inForce,
    clock: systemClock,
    log: silentLogger,
  });
  // `b` has no Service yet: what is said of it is a guess.
  ports.allocate(declared("a", "b"));
  assertEquals(ports.binds, new Map([...binds({ a: 10_007, b: 10_000 })]));
  inForce = binds({ a: 10_007, b: 10_008 });
  ports.restore(inForce);
  inForce = undefined;
  ports.allocate(declared("a", "b", "c"));
  assertEquals(ports.binds, binds({ a: 10_007, b: 10_008, c: 10_000 }));
});

Deno.test("FleetPorts holds what was given back under another one", () => {
  let inForce: Binds | undefined = binds({ a: 10_000, b: 10_001 });
  const ports = new FleetPorts({
    preferred: () => 10_000,
    holdFreed: true,
    inForce: () => inForce,
    clock: systemClock,
    log: silentLogger,
  });
  ports.allocate(declared("a", "b"));
  inForce = binds({ b: 10_001 });
  ports.allocate(declared("b"));
  inForce = undefined;
  ports.allocate(declared("b", "c"));
  assertEquals(ports.binds, binds({ b: 10_001, c: 10_002 }));
});
