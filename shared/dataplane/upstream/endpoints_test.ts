import { assertEquals } from "@std/assert";
import type { Endpoint } from "../../snapshot/schema.ts";
import { Deadline, Deadlines } from "./deadlines.ts";
import { EndpointRegistry } from "./endpoints.ts";

function endpoint(port: number, state: Partial<Endpoint> = {}): Endpoint {
  return { address: "10.0.0.1", port, ready: true, serving: true, terminating: false, ...state };
}

function picks(registry: EndpointRegistry, count: number): (number | undefined)[] {
  return Array.from({ length: count }, () => registry.pick("k")?.port);
}

Deno.test("EndpointRegistry.pick() goes round from a random start", () => {
  const registry = new EndpointRegistry({ random: () => 0.5 });
  registry.setEndpoints("k", {
    kind: "endpoints",
    endpoints: [1, 2, 3, 4].map((p) => endpoint(p)),
  });
  assertEquals(picks(registry, 6), [3, 4, 1, 2, 3, 4]);
});

Deno.test("EndpointRegistry.pick() prefers ready, falls back to serving ones that terminate", () => {
  const registry = new EndpointRegistry({ random: () => 0 });
  const leaving = endpoint(1, { ready: false, terminating: true });
  const dead = endpoint(2, { ready: false, serving: false, terminating: true });
  const unready = endpoint(3, { ready: false, serving: false });
  const set = (endpoints: Endpoint[]) =>
    registry.setEndpoints("k", { kind: "endpoints", endpoints });
  set([leaving, dead, unready, endpoint(4)]);
  assertEquals(picks(registry, 2), [4, 4]);
  set([leaving, dead, unready]);
  assertEquals(picks(registry, 2), [1, 1]);
  set([dead, unready]);
  assertEquals(picks(registry, 2), [undefined, undefined]);
  registry.removeEndpoints("k");
  assertEquals(picks(registry, 1), [undefined]);
});

Deno.test("EndpointRegistry retires an address when no set names it any more", () => {
  const told: string[] = [];
  const registry = new EndpointRegistry({
    observer: { setRetired: (target, retired) => told.push(`${target.port} ${retired}`) },
  });
  registry.setEndpoints("a", { kind: "endpoints", endpoints: [endpoint(1), endpoint(2)] });
  registry.setEndpoints("b", { kind: "endpoints", endpoints: [endpoint(1)] });
  told.length = 0;
  registry.setEndpoints("a", { kind: "endpoints", endpoints: [endpoint(2), endpoint(3)] });
  assertEquals(told, ["3 false"]);
  registry.removeEndpoints("b");
  assertEquals(told, ["3 false", "1 true"]);
});

Deno.test("EndpointRegistry retires an address that terminates while others are ready", () => {
  const told: string[] = [];
  const registry = new EndpointRegistry({
    observer: { setRetired: (target, retired) => told.push(`${target.port} ${retired}`) },
  });
  const set = (endpoints: Endpoint[]) =>
    registry.setEndpoints("k", { kind: "endpoints", endpoints });
  set([endpoint(1), endpoint(2)]);
  told.length = 0;
  const leaving = endpoint(1, { ready: false, terminating: true });
  set([leaving, endpoint(2)]);
  assertEquals(told, ["1 true"]);
  assertEquals(registry.inRotation(endpoint(1)), false);
  // It is all that there is: back in rotation.
  set([leaving]);
  assertEquals(told, ["1 true", "1 false", "2 true"]);
  assertEquals(picks(registry, 2), [1, 1]);
});

Deno.test("EndpointRegistry keeps the health of endpoints that stay, and forgets that of others", () => {
  const registry = new EndpointRegistry({ random: () => 0 });
  const set = (ports: number[]) =>
    registry.setEndpoints("k", { kind: "endpoints", endpoints: ports.map((p) => endpoint(p)) });
  set([1, 2, 3]);
  const first = registry.pick("k")!;
  for (let i = 0; i < 5; i++) first.report("connection", first.epoch);
  assertEquals(new Set(picks(registry, 4)), new Set([2, 3]));
  set([1, 2, 4]);
  assertEquals(new Set(picks(registry, 4)), new Set([2, 4]));
  set([2, 4]);
  set([1, 2, 4]);
  assertEquals(new Set(picks(registry, 3)), new Set([1, 2, 4]));
  // What is still heard of the one that left is of nobody's concern.
  for (let i = 0; i < 9; i++) first.report("connection", first.epoch);
  assertEquals(new Set(picks(registry, 3)), new Set([1, 2, 4]));
});

Deno.test("Deadlines expire in time, not before, and not when stopped", async () => {
  let now = 0;
  const deadlines = new Deadlines({ monotonic: () => now });
  const fired: string[] = [];
  const last = Promise.withResolvers<void>();
  const a = new Deadline(() => fired.push("a"));
  const b = new Deadline(() => fired.push("b"));
  const c = new Deadline(() => {
    fired.push("c");
    last.resolve();
  });
  deadlines.start(a, 5);
  deadlines.start(b, 5);
  deadlines.start(c, 5);
  deadlines.start(new Deadline(() => fired.push("never")), 0);
  b.stop();
  b.stop();
  assertEquals([a.active, b.active], [true, false]);
  now = 5;
  await last.promise;
  assertEquals(fired, ["a", "c"]);
  const again = Promise.withResolvers<void>();
  const d = new Deadline(() => again.resolve());
  deadlines.start(d, 5);
  now = 10;
  await again.promise;
  deadlines.start(d, 5);
  deadlines.close();
});

Deno.test("EndpointRegistry.pickOther() avoids what was tried, and begins anew when all were", () => {
  const registry = new EndpointRegistry({ random: () => 0 });
  registry.setEndpoints("k", { kind: "endpoints", endpoints: [1, 2, 3].map((p) => endpoint(p)) });
  const first = registry.pick("k")!;
  const second = registry.pickOther("k", new Set([first]))!;
  const tried = new Set([first, second]);
  const third = registry.pickOther("k", tried)!;
  assertEquals([first.port, second.port, third.port], [1, 2, 3]);
  assertEquals(registry.pickUntried("k", new Set([first, second, third])), undefined);
  assertEquals(registry.pickOther("k", tried.add(third))?.port, 1);
  assertEquals(tried.size, 0);
  registry.removeEndpoints("k");
  assertEquals(registry.pickOther("k", tried), undefined);
});
