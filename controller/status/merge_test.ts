import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { DesiredCondition } from "./conditions.ts";
import type { DesiredStatus } from "./desired.ts";
import { mergeStatus, type StoredAncestor, type StoredStatus, withoutOwn } from "./merge.ts";

const OURS = "networknt.com/light-k8s-gateway";
const T0 = Date.parse("2026-01-01T00:00:00Z");
const T1 = Date.parse("2026-01-02T00:00:00Z");
const options = (now: number) => ({ now, controllerName: OURS });

function condition(type: string, status: "True" | "False", generation: number): DesiredCondition {
  return { type, status, reason: type, message: "m", observedGeneration: generation };
}

function gateway(status: "True" | "False", generation: number): DesiredStatus {
  return {
    kind: "Gateway",
    addresses: [],
    conditions: [
      condition("Accepted", "True", generation),
      condition("Programmed", status, generation),
    ],
    listeners: [{
      name: "http",
      supportedKinds: [],
      attachedRoutes: 0,
      conditions: [condition("Programmed", status, generation)],
    }],
  };
}

function route(generation: number, names = ["gw"]): DesiredStatus {
  return {
    kind: "HTTPRoute",
    parents: names.map((name) => ({
      parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name },
      controllerName: OURS,
      conditions: [condition("Accepted", "True", generation)],
    })),
  };
}

function policy(generation: number, names = ["gw"]): DesiredStatus {
  return {
    kind: "BackendTLSPolicy",
    ancestors: names.map((name) => ({
      ancestorRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name },
      controllerName: OURS,
      conditions: [condition("Accepted", "True", generation)],
    })),
  };
}

const STALE = {
  type: "conformance.gateway.networking.k8s.io/StaleCondition",
  status: "True",
  reason: "Stale",
  message: "",
  observedGeneration: 1,
  lastTransitionTime: "2020-01-01T00:00:00Z",
} as const;

Deno.test("mergeStatus() gives the stored status back when nothing changed", () => {
  for (const desired of [gateway("True", 1), route(1), policy(1)]) {
    const first = mergeStatus(undefined, desired, options(T0));
    assertStrictEquals(mergeStatus(first, desired, options(T1)), first);
    const parsed: StoredStatus = JSON.parse(JSON.stringify(first));
    assertStrictEquals(mergeStatus(parsed, desired, options(T1)), parsed);
  }
});

Deno.test("mergeStatus() moves lastTransitionTime only where status changed", () => {
  const first = mergeStatus(undefined, gateway("False", 1), options(T0));
  const second = mergeStatus(first, gateway("True", 2), options(T1));
  assertEquals(
    second.conditions?.map(({ type, lastTransitionTime, observedGeneration }) => [
      type,
      lastTransitionTime,
      observedGeneration,
    ]),
    [["Accepted", "2026-01-01T00:00:00Z", 2], ["Programmed", "2026-01-02T00:00:00Z", 2]],
  );
});

Deno.test("mergeStatus() leaves conditions of unknown types as they are (GatewayPreserveForeignConditions)", () => {
  const first = mergeStatus(undefined, gateway("True", 1), options(T0));
  const seeded: StoredStatus = {
    ...first,
    conditions: [STALE, ...first.conditions ?? []],
    listeners: first.listeners?.map((listener) => ({
      ...listener,
      conditions: [...listener.conditions ?? [], STALE],
    })) ?? [],
    someday: 3,
  };
  const merged = mergeStatus(seeded, gateway("True", 2), options(T1));
  assertStrictEquals(merged.conditions?.[0], STALE);
  assertStrictEquals(merged.listeners?.[0]?.conditions?.[1], STALE);
  assertEquals(merged.someday, 3);
  assertEquals(merged.conditions?.[1]?.observedGeneration, 2);
  assertEquals(merged.listeners?.[0]?.conditions?.[0]?.observedGeneration, 2);
});

Deno.test("mergeStatus() leaves entries of other controllers as they are (HTTPRoutePreserveForeignStatus)", () => {
  const foreign = {
    controllerName: "gateway.networking.k8s.io/stale-controller",
    parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: "none" },
    conditions: [{ ...STALE, type: "Accepted" }],
  };
  const first = mergeStatus({ parents: [foreign] }, route(1, ["gw", "other"]), options(T0));
  const second = mergeStatus(first, route(2, ["gw"]), options(T1));
  assertStrictEquals(second.parents?.[0], foreign);
  assertEquals(second.parents?.map(({ parentRef }) => parentRef.name), ["none", "gw"]);
  assertEquals(second.parents?.[1]?.conditions?.[0]?.observedGeneration, 2);
});

Deno.test("mergeStatus() never lowers an observedGeneration", () => {
  const first = mergeStatus(undefined, route(5), options(T0));
  assertStrictEquals(mergeStatus(first, route(4), options(T1)), first);
});

Deno.test("mergeStatus() drops listeners that the spec no longer has", () => {
  const first = mergeStatus(
    { listeners: [{ name: "old", conditions: [] }] },
    gateway("True", 1),
    options(T0),
  );
  assertEquals(first.listeners?.map(({ name }) => name), ["http"]);
});

Deno.test("mergeStatus() takes back conditions of ours that are only there while they are true", () => {
  const desired = gateway("True", 1);
  const insecure: DesiredStatus = desired.kind !== "Gateway" ? desired : {
    ...desired,
    conditions: [...desired.conditions, condition("InsecureFrontendValidationMode", "True", 1)],
  };
  const first = mergeStatus(undefined, insecure, options(T0));
  const seeded = { ...first, conditions: [...first.conditions ?? [], STALE] };
  const types = mergeStatus(seeded, desired, options(T1)).conditions?.map(({ type }) => type);
  assertEquals(types, ["Accepted", "Programmed", STALE.type]);
});

Deno.test("mergeStatus() leaves ancestors of other controllers alone, in their places", () => {
  const foreign: StoredAncestor = {
    controllerName: "gateway.networking.k8s.io/stale-controller",
    ancestorRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: "unmanaged" },
    conditions: [STALE],
  };
  const first = mergeStatus({ ancestors: [foreign] }, policy(1, ["a", "b"]), options(T0));
  const second = mergeStatus(first, policy(2, ["b", "c"]), options(T1));
  assertStrictEquals(second.ancestors?.[0], foreign);
  assertEquals(
    second.ancestors?.map(({ ancestorRef, conditions }) => [
      ancestorRef.name,
      conditions?.[0]?.observedGeneration,
    ]),
    [["unmanaged", 1], ["b", 2], ["c", 2]],
  );
});

Deno.test("mergeStatus() adds no parent to a list that is full", () => {
  const foreign = Array.from({ length: 31 }, (_, index) => ({
    controllerName: "example.com/other",
    parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: `o${index}` },
  }));
  const parents = ["a", "b"].map((name) => ({
    controllerName: options(T0).controllerName,
    parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name },
    conditions: [],
  }));
  const merged = mergeStatus({ parents: foreign }, { kind: "HTTPRoute", parents }, options(T0));
  assertEquals(merged.parents?.map(({ parentRef }) => parentRef.name).slice(30), ["o30", "a"]);
});

Deno.test("mergeStatus() adds no ancestor to a list that is full", () => {
  const foreign = Array.from({ length: 15 }, (_, index): StoredAncestor => ({
    controllerName: "example.com/other",
    ancestorRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: `o${index}` },
  }));
  const merged = mergeStatus({ ancestors: foreign }, policy(1, ["a", "b"]), options(T0));
  assertEquals(merged.ancestors?.map(({ ancestorRef }) => ancestorRef.name).slice(14), [
    "o14",
    "a",
  ]);
});

Deno.test("mergeStatus() says that a Gateway has no ListenerSets any more", () => {
  const none = gateway("True", 1);
  assert(none.kind === "Gateway");
  const plain = mergeStatus(undefined, none, options(T0));
  assertEquals("attachedListenerSets" in plain, false);
  const two = mergeStatus(plain, { ...none, attachedListenerSets: 2 }, options(T0));
  assertEquals(two.attachedListenerSets, 2);
  const zero = mergeStatus(two, none, options(T1));
  assertEquals(zero.attachedListenerSets, 0);
  assertStrictEquals(mergeStatus(zero, none, options(T1)), zero);
});

Deno.test("withoutOwn() takes our ancestors out of a policy that nobody uses any more, and no others", () => {
  const foreign: StoredAncestor = {
    controllerName: "example.com/other",
    ancestorRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: "gw" },
    conditions: [STALE],
  };
  const stored = mergeStatus({ ancestors: [foreign] }, policy(1, ["a", "b"]), options(T0));
  const left = withoutOwn(stored, OURS);
  assertEquals(left, { ancestors: [foreign] });
  assertStrictEquals(left?.ancestors?.[0], foreign);
  assertStrictEquals(withoutOwn(left, OURS), left);
});
