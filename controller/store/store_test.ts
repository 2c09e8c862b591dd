import { assertEquals, assertStrictEquals } from "@std/assert";
import type { KubeObject, Service } from "../model/objects.ts";
import { ObjectStore } from "./store.ts";

function service(name: string, namespace = "default"): Service {
  const meta = { name, namespace, uid: "", generation: 1, created: 0, labels: {}, manager: "" };
  return { kind: "Service", meta, spec: { type: "ClusterIP" } };
}

function slice(name: string, service: string): KubeObject {
  const labels = { "kubernetes.io/service-name": service };
  const meta = {
    name,
    namespace: "default",
    uid: "",
    generation: 1,
    created: 0,
    labels,
    manager: "",
  };
  return { kind: "EndpointSlice", meta, addressType: "IPv4", endpoints: [] };
}

Deno.test("ObjectStore.view() is the same object until something changes", () => {
  const store = new ObjectStore();
  const object = service("a");
  assertEquals(store.apply({ upserts: [object], deletes: [] }), true);
  const view = store.view();
  assertEquals(store.apply({ upserts: [object], deletes: ["Service/default/none", "x"] }), false);
  assertStrictEquals(store.view(), view);
});

Deno.test("ObjectStore.view() stays as it was when the store goes on", () => {
  const store = new ObjectStore();
  store.apply({ upserts: [service("b"), service("a"), service("z", "alpha")], deletes: [] });
  const before = store.view();
  store.apply({ upserts: [], deletes: ["Service/default/a"] });
  const names = (view: typeof before) => view.list("Service").map(({ meta }) => meta.name);
  assertEquals(names(before), ["z", "a", "b"]);
  assertEquals(names(store.view()), ["z", "b"]);
  assertEquals(before.get("Service", "default", "a")?.meta.name, "a");
  assertEquals(store.view().get("Service", "default", "a"), undefined);
});

Deno.test("ClusterView.slicesOf() finds the slices of a Service by label, by name", () => {
  const store = new ObjectStore();
  store.apply({ upserts: [slice("s2", "a"), slice("s1", "a"), slice("s3", "b")], deletes: [] });
  assertEquals(store.view().slicesOf("default", "a").map(({ meta }) => meta.name), ["s1", "s2"]);
  assertEquals(store.view().slicesOf("other", "a"), []);
});
