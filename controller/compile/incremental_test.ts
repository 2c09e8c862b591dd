import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { isRoute } from "../../shared/dataplane/table/routes.ts";
import { compile } from "./compile.ts";
import type { FleetContext } from "./compile.ts";
import { IncrementalCompiler } from "./incremental.ts";
import type { CertificateCache } from "../attach/certificates.ts";
import { keyOf, type KubeObject } from "../model/objects.ts";
import { loadInline } from "../source/files/inline.ts";
import { KINDS } from "../source/kinds.ts";
import { ObjectStore, viewOf } from "../store/store.ts";
import { resultBytes } from "./testing_compile.ts";
import { arbitraryObjects } from "./testing_objects.ts";

const kinds = arbitraryObjects();
const anyObject = fc.oneof(
  // Routes are what everything else is there for.
  { weight: 3, arbitrary: kinds.HTTPRoute },
  { weight: 1, arbitrary: kinds.ConfigMap },
  { weight: 1, arbitrary: kinds.Service },
  { weight: 1, arbitrary: kinds.BackendTLSPolicy },
  { weight: 3, arbitrary: kinds.ListenerSet },
  { weight: 1, arbitrary: kinds.Gateway },
  ...Object.values(kinds).map((arbitrary) => ({ weight: 1, arbitrary })),
);

interface Step {
  edits: { object: KubeObject; remove: boolean }[];
  programmed: boolean | undefined;
  obstacle: string | undefined;
  /** Milliseconds since the epoch: before and after the certificates expire. */
  now: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  edits: fc.array(
    fc.record({ object: anyObject, remove: fc.integer({ min: 0, max: 3 }).map((n) => n === 0) }),
    { maxLength: 4 },
  ),
  programmed: fc.constantFrom(undefined, true, false),
  obstacle: fc.constantFrom(undefined, undefined, undefined, "full"),
  now: fc.constantFrom(Date.parse("2026-01-01"), Date.parse("2127-01-01")),
});

/** Something of everything, so that the edits meet references that hold. */
const beginning = fc.array(anyObject, { minLength: 110, maxLength: 220 });

/** The listener of a set has a name with slashes. */
const ofSet = (listener: string) => listener.includes("/");

/** One edit of an object that is there leaves its neighbours alone, so later edits count. */
function apply(store: ObjectStore, { edits }: Step): void {
  for (const { object, remove } of edits) {
    store.apply(
      remove ? { upserts: [], deletes: [keyOf(object)] } : { upserts: [object], deletes: [] },
    );
  }
}

Deno.test("IncrementalCompiler.compile() gives what compile() gives, after every step of any series", () => {
  const certificateCache: CertificateCache = new WeakMap();
  /** Listeners of sets with client validation: many things have to meet for one. */
  let asking = 0;
  const seen = {
    served: 0,
    sets: 0,
    onSets: 0,
    statuses: 0,
    endpoints: 0,
    certificates: 0,
    diagnostics: 0,
    trust: 0,
  };
  fc.assert(
    fc.property(beginning, fc.array(step, { maxLength: 12 }), (objects, steps) => {
      const store = new ObjectStore();
      const compiler = new IncrementalCompiler({ certificateCache });
      store.apply({ upserts: objects, deletes: [] });
      for (
        const next of [{ edits: [], programmed: undefined, obstacle: undefined, now: 0 }, ...steps]
      ) {
        apply(store, next);
        const fleet: FleetContext = {
          programmed: (_scope, generation) => generation > 1 ? next.programmed : undefined,
          setProgrammed: (_scope, { generation }) => generation > 2 ? next.programmed : undefined,
          obstacle: (scope) => scope.endsWith("/g1") ? next.obstacle : undefined,
          addresses: () => [{ type: "IPAddress", value: "127.0.0.1" }],
          now: next.now,
        };
        const view = store.view();
        const incremental = compiler.compile(view, fleet);
        const full = compile(view, { ...fleet, certificateCache });
        assertEquals(resultBytes(incremental), resultBytes(full));
        assertStrictEquals(compiler.compile(view, fleet), incremental);
        for (const { resources } of full.scopes.values()) {
          seen.served += resources.size;
          for (const [id, resource] of resources) {
            if (resource.kind === "listener" && id.split("/").length > 4) {
              seen.sets++;
              if (resource.clientValidation !== undefined) asking++;
            }
            if (isRoute(resource) && resource.listeners.some(ofSet)) seen.onSets++;
          }
        }
        seen.statuses += full.statuses.size;
        seen.endpoints += full.endpoints.size;
        seen.certificates += full.certificates.size;
        seen.trust += full.trust.size;
        seen.diagnostics += full.diagnostics.size;
      }
    }),
    { numRuns: 500, seed: 11 },
  );
  // A property over clusters in which nothing attaches would prove nothing.
  for (const [what, count] of Object.entries(seen)) assert(count > 200, `${what}: ${count}`);
  assert(asking > 10, `asking: ${asking}`);
});

Deno.test("IncrementalCompiler.referred names every Secret and ConfigMap that makes a difference", () => {
  const certificateCache: CertificateCache = new WeakMap();
  const seen = { Secret: 0, ConfigMap: 0, left: 0 };
  const followed = ["Secret", "ConfigMap"] as const;
  fc.assert(
    fc.property(beginning, fc.array(step, { maxLength: 8 }), (objects, steps) => {
      const store = new ObjectStore();
      const compiler = new IncrementalCompiler({ certificateCache, referredKinds: followed });
      store.apply({ upserts: objects, deletes: [] });
      for (const next of [undefined, ...steps]) {
        if (next !== undefined) apply(store, next);
        const view = store.view();
        const whole = compiler.compile(view);
        const loaded = KINDS.flatMap(({ kind }) => view.list(kind)).filter((object) => {
          const kind = followed.find((kind) => kind === object.kind);
          if (kind === undefined) return true;
          const kept = compiler.referred.has(keyOf(object));
          seen[kept ? kind : "left"]++;
          return kept;
        });
        const part = compile(viewOf(loaded), { certificateCache });
        assertEquals(resultBytes(part), resultBytes(whole));
      }
    }),
    { numRuns: 200, seed: 12 },
  );
  for (const [what, count] of Object.entries(seen)) assert(count > 100, `${what}: ${count}`);
});

const MANIFEST = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: lgw }
spec: { controllerName: networknt.com/light-k8s-gateway }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gw, namespace: default }
spec:
  gatewayClassName: lgw
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
apiVersion: v1
kind: Service
metadata: { name: app }
spec: { ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: unused }
spec: { ports: [{ port: 80 }] }
`;

const ROUTE = (name: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: default }
spec:
  parentRefs: [{ name: gw }]
  rules: [{ backendRefs: [{ name: app, port: 80 }] }]
`;

/** A store with two routes to one Service, and the compile of it. */
function smallCluster() {
  const store = new ObjectStore();
  const objects = loadInline([MANIFEST, ROUTE("a"), ROUTE("b")].join("---"), "x.yaml").upserts;
  store.apply({ upserts: objects, deletes: [] });
  const compiler = new IncrementalCompiler();
  const compiled = () => compiler.compile(store.view());
  /** Puts the object there again, as a change that says the same. */
  const touch = (key: string) => {
    const object = store.view().find(key);
    assert(object !== undefined, key);
    store.apply({ upserts: [{ ...object }], deletes: [] });
  };
  const resource = (id: string) => compiled().scopes.get("gateway/default/gw")?.resources.get(id);
  compiled();
  return { store, compiled, touch, resource };
}

Deno.test("IncrementalCompiler.compile() gives the same result when nothing refers to what changed", () => {
  const { compiled, touch } = smallCluster();
  const before = compiled();
  touch("Service/default/unused");
  assertStrictEquals(compiled(), before);
});

Deno.test("IncrementalCompiler.compile() decides nothing anew but what changed", () => {
  const { compiled, touch, resource } = smallCluster();
  const [a, b, before] = [
    resource("httproute/default/a"),
    resource("httproute/default/b"),
    compiled(),
  ];
  touch("HTTPRoute/default/a");
  assert(resource("httproute/default/a") !== a);
  assertStrictEquals(resource("httproute/default/b"), b);
  const after = compiled();
  assertStrictEquals(after.endpoints, before.endpoints);
  assertEquals([...after.statuses.changedSince(before.statuses)], ["HTTPRoute/default/a"]);
});

Deno.test("IncrementalCompiler.compile() decides no route anew for a Gateway that looks the same to routes", () => {
  const { touch, resource } = smallCluster();
  const before = resource("httproute/default/a");
  touch("Gateway/default/gw");
  assertStrictEquals(resource("httproute/default/a"), before);
});

Deno.test("IncrementalCompiler.compile() starts over after a fault, and leaves nothing of it behind", () => {
  const { store, compiled, touch } = smallCluster();
  const broken: FleetContext = {
    addresses: () => {
      throw new Error("broken");
    },
  };
  const compiler = new IncrementalCompiler();
  compiler.compile(store.view());
  touch("HTTPRoute/default/a");
  assertThrows(() => compiler.compile(store.view(), broken), Error, "broken");
  assertEquals(resultBytes(compiler.compile(store.view())), resultBytes(compiled()));
});
