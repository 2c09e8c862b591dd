import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { asRecord } from "../source/decode/decoder.ts";
import type { GatewayInfrastructure, InfrastructurePlan } from "../model/infrastructure.ts";
import { desiredInfrastructure } from "./desired.ts";
import { diffInfrastructure } from "./diff.ts";
import type { FleetPod } from "./endpoint_slices.ts";
import { type ExistingObject, existingObject } from "./existing.ts";

const OURS = { controllerName: "networknt.com/light-k8s-gateway" };
type Json = Record<string, unknown>;

/** What an API server does with a merge patch (RFC 7396). */
function merged(target: unknown, patch: unknown): unknown {
  const changes = asRecord(patch);
  if (changes === undefined) return patch;
  const result: Json = { ...asRecord(target) };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

/** The objects of a cluster, as far as this needs one: names, uids, node ports, members of others. */
class Cluster {
  readonly #objects = new Map<string, Json>();
  #uids = 0;
  writes = 0;

  existing(): ExistingObject[] {
    return [...this.#objects.values()].map(existingObject).filter((object) => object !== undefined);
  }

  /** One pass of a controller. */
  apply({ create, patch, delete: gone }: ReturnType<typeof diffInfrastructure>): void {
    this.writes += create.length + patch.length + gone.length;
    for (const { kind, namespace, name, uid } of gone) {
      const key = `${kind}/${namespace}/${name}`;
      assertEquals(asRecord(this.#objects.get(key)?.metadata)?.uid, uid);
      this.#objects.delete(key);
    }
    for (const manifest of create) {
      const { kind, metadata: { namespace, name } } = manifest;
      const key = `${kind}/${namespace}/${name}`;
      assert(!this.#objects.has(key), `${key} is there already`);
      const foreign = { labels: { foreign: "x" }, annotations: { "cloud.example.com/id": "1" } };
      this.#store(
        key,
        merged(structuredClone(manifest), {
          metadata: { ...foreign, uid: `u${this.#uids++}` },
        }),
      );
    }
    for (const { kind, namespace, name, patch: changes } of patch) {
      const key = `${kind}/${namespace}/${name}`;
      assert(this.#objects.has(key), `${key} is not there`);
      this.#store(key, merged(this.#objects.get(key), changes));
    }
  }

  #store(key: string, value: unknown): void {
    const object = asRecord(JSON.parse(JSON.stringify(value)));
    assert(object !== undefined);
    const spec = asRecord(object.spec);
    if (object.kind === "Service" && spec !== undefined && Array.isArray(spec.ports)) {
      assert(spec.ports.length > 0, "a Service needs a port");
      for (const [index, port] of spec.ports.entries()) {
        if (spec.type === "ClusterIP") delete port.nodePort;
        else port.nodePort ??= 30_000 + index;
      }
    }
    this.#objects.set(key, object);
  }
}

const labels = fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom("1", "2"));

const plan: fc.Arbitrary<InfrastructurePlan> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      mode: fc.constant("service" as const),
      service: fc.record({
        type: fc.constantFrom("LoadBalancer" as const, "ClusterIP" as const, "NodePort" as const),
        annotations: labels,
        externalTrafficPolicy: fc.constantFrom("Cluster" as const, "Local" as const),
      }, { requiredKeys: ["type"] }),
      ports: fc.subarray([80, 443, 8080]),
      addresses: fc.subarray(["192.0.2.1", "192.0.2.2"]),
      assign: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ mode: "keep" as const }) },
  { weight: 1, arbitrary: fc.constant({ mode: "unmanaged" as const, addresses: [] }) },
);

const gateways: fc.Arbitrary<ReadonlyMap<string, GatewayInfrastructure>> = fc.uniqueArray(
  fc.record({
    namespace: fc.constant("ns"),
    name: fc.constantFrom("a", "b", "a-b", "x".repeat(253)),
    uid: fc.constantFrom("u1", "u2"),
    className: fc.constantFrom("lgw", "b-lgw"),
    created: fc.constantFrom(1, 2),
    labels,
    annotations: labels,
    plan,
  }),
  { selector: ({ name }) => name, maxLength: 4 },
).map((list) => new Map(list.map((entry) => [`gateway/ns/${entry.name}`, entry])));

const fleet: fc.Arbitrary<readonly FleetPod[] | undefined> = fc.option(
  fc.uniqueArray(
    fc.record({
      name: fc.constantFrom("p1", "p2", "p3"),
      address: fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1"),
      bound: fc.subarray([10_080, 10_443, 18_080]),
      ready: fc.boolean(),
      terminating: fc.boolean(),
    }),
    { selector: ({ address }) => address },
  ),
  { nil: undefined },
);

Deno.test("diffInfrastructure() comes to rest after each change, and leaves foreign members alone", () => {
  let writes = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(gateways, fleet), { minLength: 1, maxLength: 6 }), (steps) => {
      const cluster = new Cluster();
      for (const [wanted, pods] of steps) {
        const binds = new Map(
          [...wanted.keys()].map((scope) => [
            scope,
            new Map([[80, 10_080], [443, 10_443], [8080, 18_080]]),
          ]),
        );
        const desired = desiredInfrastructure(wanted, { binds, fleet: pods, ...OURS });
        cluster.apply(diffInfrastructure(desired, cluster.existing(), OURS));
        const rest = diffInfrastructure(desired, cluster.existing(), OURS);
        assertEquals(rest, { create: [], patch: [], delete: [], blocked: new Map() });
        for (const { labels, annotations } of cluster.existing()) {
          assertEquals(labels.foreign, "x");
          assertEquals(annotations["cloud.example.com/id"], "1");
        }
        const there = new Set(cluster.existing().map(({ kind, name }) => `${kind}/${name}`));
        for (const { metadata } of desired.services) {
          assert(there.has(`Service/${metadata.name}`));
          const stored = cluster.existing().find(({ kind, name }) =>
            kind === "Service" && name === metadata.name
          );
          const ours = Object.keys(stored?.labels ?? {}).filter((name) => name !== "foreign");
          assertEquals(ours.sort(), Object.keys(metadata.labels).sort());
        }
      }
      writes += cluster.writes;
    }),
    { numRuns: 500, seed: 3 },
  );
  assert(writes > 1000, `${writes} writes prove little`);
});
