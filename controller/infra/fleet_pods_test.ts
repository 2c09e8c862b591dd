import { assertEquals } from "@std/assert";
import { parseRawObject } from "../source/kubernetes/raw_object.ts";
import { FleetPods, type PodState, podState } from "./fleet_pods.ts";

const said = (more: Partial<{ bound: number[]; ready: boolean; draining: boolean }> = {}) => ({
  address: "127.0.0.9",
  bound: [10_001, 10_000],
  ready: true,
  draining: false,
  ...more,
});
const state = (name: string, more: Partial<PodState> = {}): PodState => ({
  namespace: "system",
  name,
  address: "10.0.0.1",
  ready: true,
  terminating: false,
  nodeName: "node-1",
  ...more,
});

Deno.test("FleetPods takes ports from the proxy's word and the address from its Pod", () => {
  const pods = new FleetPods();
  assertEquals(pods.update(new Map([["a", said()]]), new Map([["a", state("a")]])), [{
    name: "a",
    address: "10.0.0.1",
    bound: [10_000, 10_001],
    ready: true,
    namespace: "system",
    nodeName: "node-1",
  }]);
  // Beside a cluster nobody watches pods.
  assertEquals(
    pods.update(new Map([["a", said()]]), undefined).map(({ address }) => address),
    ["127.0.0.9"],
  );
});

Deno.test("FleetPods keeps a proxy that fell silent while its Pod is there, and no longer", () => {
  const pods = new FleetPods();
  pods.update(new Map([["a", said()]]), new Map([["a", state("a")]]));
  assertEquals(pods.update(new Map(), new Map([["a", state("a")]])).length, 1);
  assertEquals(pods.update(new Map(), new Map()), []);
  assertEquals(pods.update(new Map(), new Map([["a", state("a")]])), []);
});

Deno.test("FleetPods says that a pod is not ready, or ends, by whoever says so first", () => {
  const of = (word: ReturnType<typeof said>, pod: PodState) =>
    new FleetPods().update(new Map([["a", word]]), new Map([["a", pod]]))
      .map(({ ready, terminating = false }) => ({ ready, terminating }));
  assertEquals(of(said(), state("a", { ready: false })), [{ ready: false, terminating: false }]);
  assertEquals(of(said({ ready: false }), state("a")), [{ ready: false, terminating: false }]);
  assertEquals(of(said({ ready: false, draining: true }), state("a")), [
    { ready: true, terminating: true },
  ]);
  assertEquals(of(said(), state("a", { terminating: true, ready: false })), [
    { ready: true, terminating: true },
  ]);
  assertEquals(of(said(), state("a", { address: "" })), []);
});

Deno.test("podState() knows no pod that has run its course", () => {
  const raw = (status: Record<string, unknown>) =>
    parseRawObject({ metadata: { name: "a", namespace: "ns" }, status });
  assertEquals(podState(raw({ phase: "Failed" })), undefined);
  assertEquals(
    podState(raw({ podIP: "10.0.0.1", conditions: [{ type: "Ready", status: "True" }] })),
    state("a", { namespace: "ns", nodeName: undefined }),
  );
});
