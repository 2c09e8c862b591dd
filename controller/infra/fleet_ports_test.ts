import { assertEquals, assertStrictEquals } from "@std/assert";
import { silentLogger } from "../../shared/lib/log.ts";
import { TestingClock } from "../../shared/lib/testing_clock.ts";
import { type Binds, FleetPorts } from "./fleet_ports.ts";

function rig({ last }: { last?: number } = {}) {
  const clock = new TestingClock();
  const ports = new FleetPorts({
    preferred: () => 10_000,
    ...(last === undefined ? {} : { last }),
    holdFreed: true,
    clock,
    log: silentLogger,
  });
  const declared = (of: Record<string, number[]>) => new Map(Object.entries(of));
  const bound = (scope: string, port = 80) => ports.binds.get(scope)?.get(port);
  return { clock, ports, declared, bound };
}

Deno.test("FleetPorts moves nobody after a restart, nor when another comes", () => {
  const { ports, declared, bound } = rig();
  ports.restore(new Map([["gateway/ns/b", new Map([[80, 10_000]])]]));
  ports.allocate(declared({ "gateway/ns/a": [80], "gateway/ns/b": [80] }));
  assertEquals([bound("gateway/ns/a"), bound("gateway/ns/b")], [10_001, 10_000]);
});

Deno.test("FleetPorts works nothing out when nothing is different", () => {
  const { ports, declared } = rig();
  const wanted = declared({ "gateway/ns/a": [80] });
  ports.allocate(wanted);
  const before = ports.binds;
  ports.allocate(wanted);
  assertStrictEquals(ports.binds, before);
});

Deno.test("FleetPorts leaves a port that cannot be bound for ten minutes", () => {
  const { clock, ports, declared, bound } = rig();
  const wanted = declared({ "gateway/ns/a": [80] });
  ports.allocate(wanted);
  assertEquals(ports.avoid(new Set([20_000])), false);
  assertEquals(ports.avoid(new Set([10_000])), true);
  assertEquals(ports.avoid(new Set([10_000])), false);
  ports.allocate(wanted);
  assertEquals(bound("gateway/ns/a"), 10_001);
  clock.advance(10 * 60_000);
  ports.allocate(declared({ "gateway/ns/a": [80], "gateway/ns/b": [80] }));
  assertEquals([bound("gateway/ns/a"), bound("gateway/ns/b")], [10_001, 10_000]);
});

Deno.test("FleetPorts gives a freed port to nobody else for ten minutes, not in the same turn either", () => {
  const { clock, ports, declared, bound } = rig({ last: 10_001 });
  ports.allocate(declared({ "gateway/ns/a": [80] }));
  ports.allocate(declared({ "gateway/ns/b": [80] }));
  assertEquals(bound("gateway/ns/b"), 10_001);
  const wanted = declared({ "gateway/ns/b": [80], "gateway/ns/c": [80] });
  ports.allocate(wanted);
  assertEquals([bound("gateway/ns/c"), ports.exhausted("gateway/ns/c")], [
    undefined,
    "no port of the fleet is left for port 80",
  ]);
  clock.advance(10 * 60_000);
  // Nothing else is different.
  ports.allocate(wanted);
  assertEquals([bound("gateway/ns/c"), ports.exhausted("gateway/ns/c")], [10_000, undefined]);
});

const binds = (own: Record<string, number>): Binds =>
  new Map(Object.entries(own).map(([scope, port]) => [scope, new Map([[80, port]])]));

const port80 = (...scopes: string[]) => new Map(scopes.map((scope) => [scope, [80]]));

Deno.test("FleetPorts keeps what another one has in force while it stands by, and when it leads", () => {
  let inForce: Binds | undefined = binds({ a: 10_007 });
  const ports = new FleetPorts({
    preferred: () => 10_000,
    holdFreed: true,
    inForce: () => inForce,
    clock: new TestingClock(),
    log: silentLogger,
  });
  // `b` has no Service yet: what is said of it is a guess.
  ports.allocate(port80("a", "b"));
  assertEquals(ports.binds, new Map([...binds({ a: 10_007, b: 10_000 })]));
  inForce = binds({ a: 10_007, b: 10_008 });
  ports.restore(inForce);
  inForce = undefined;
  ports.allocate(port80("a", "b", "c"));
  assertEquals(ports.binds, binds({ a: 10_007, b: 10_008, c: 10_000 }));
});

Deno.test("FleetPorts holds what was given back under another one", () => {
  let inForce: Binds | undefined = binds({ a: 10_000, b: 10_001 });
  const ports = new FleetPorts({
    preferred: () => 10_000,
    holdFreed: true,
    inForce: () => inForce,
    clock: new TestingClock(),
    log: silentLogger,
  });
  ports.allocate(port80("a", "b"));
  inForce = binds({ b: 10_001 });
  ports.allocate(port80("b"));
  inForce = undefined;
  ports.allocate(port80("b", "c"));
  assertEquals(ports.binds, binds({ b: 10_001, c: 10_002 }));
});
