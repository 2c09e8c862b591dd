import { assertEquals } from "@std/assert";
import { allocateBinds, type HeldPort, SHARED_FLEET_PORTS } from "./binds.ts";
import { FreedPorts } from "./freed_ports.ts";

const MINUTE = 60_000;
type Binds = Map<string, Map<number, number>>;

function allocate(scopes: string[], previous: Binds, held: HeldPort[]) {
  return allocateBinds(scopes.map((scope) => ({ scope, ports: [80] })), {
    previous,
    unusable: new Set(),
    preferred: () => SHARED_FLEET_PORTS.first,
    last: SHARED_FLEET_PORTS.last,
    held,
  }).binds;
}
const port = (binds: Binds, scope: string) => binds.get(scope)?.get(80);

Deno.test("FreedPorts keeps a freed port from other Gateways for ten minutes", () => {
  const freed = new FreedPorts();
  let binds = allocate(["gateway/ns/a"], new Map(), freed.held(0));
  freed.update(binds, 0);
  assertEquals(port(binds, "gateway/ns/a"), 10_000);
  binds = allocate([], binds, freed.held(MINUTE));
  freed.update(binds, MINUTE);
  const early = allocate(["gateway/ns/b"], binds, freed.held(10 * MINUTE));
  assertEquals(port(early, "gateway/ns/b"), 10_001);
  const late = allocate(["gateway/ns/b"], binds, freed.held(11 * MINUTE));
  assertEquals(port(late, "gateway/ns/b"), 10_000);
});

Deno.test("FreedPorts lets the Gateway that had a port have it back", () => {
  const freed = new FreedPorts();
  freed.update(allocate(["gateway/ns/b", "gateway/ns/a"], new Map(), []), 0);
  freed.update(new Map(), MINUTE);
  const binds = allocate(["gateway/ns/0", "gateway/ns/b"], new Map(), freed.held(2 * MINUTE));
  assertEquals(port(binds, "gateway/ns/b"), 10_001);
  assertEquals(port(binds, "gateway/ns/0"), 10_002);
  freed.update(binds, 2 * MINUTE);
  assertEquals(freed.held(3 * MINUTE).map(({ fleetPort }) => fleetPort), [10_000]);
});

Deno.test("allocateBinds() goes no further than the last port of the fleet", () => {
  const { exhausted } = allocateBinds([{ scope: "gateway/ns/a", ports: [80, 81] }], {
    previous: new Map(),
    unusable: new Set(),
    preferred: () => 32_767,
    last: 32_767,
  });
  assertEquals(exhausted, [{ scope: "gateway/ns/a", port: 81 }]);
});
