import { assert, assertEquals } from "@std/assert";
import { silentLogger } from "../../../shared/lib/log.ts";
import { TestingClock } from "../../../shared/lib/testing_clock.ts";
import { keyOf } from "../../model/objects.ts";
import type { Batch } from "../batch.ts";
import { asRecord } from "../decode/decoder.ts";
import { KubernetesSource } from "./kubernetes_source.ts";
import type { StoredObject } from "./stored.ts";
import { type SeenRequest, TestingApiServer } from "./testing_api_server.ts";

const GROUP = "gateway.networking.k8s.io";
const CLASSES = `${GROUP}/gatewayclasses`;
const ROUTES = `${GROUP}/httproutes`;
const SECRETS = "/secrets";

interface Rig {
  server: TestingApiServer;
  source: KubernetesSource;
  clock: TestingClock;
  batches: Batch[];
  stored: Map<string, StoredObject>;
  /** Key → whether the last word of it was that it is there. */
  known: Map<string, boolean>;
  counts: number[];
}

async function withSource(
  use: (rig: Rig) => Promise<void>,
  { namespaces = [], prepare = () => {} }: {
    namespaces?: string[];
    prepare?: (server: TestingApiServer) => void;
  } = {},
): Promise<void> {
  const server = new TestingApiServer();
  prepare(server);
  const clock = new TestingClock({ instant: true, onDelay: () => server.notify() });
  const rig: Omit<Rig, "source"> = {
    server,
    clock,
    batches: [],
    stored: new Map(),
    known: new Map(),
    counts: [],
  };
  const source = new KubernetesSource({
    api: server.api,
    namespaces,
    assumedClass: { name: "lgw", controllerName: "example.com/ours" },
    onBatch: (batch) => {
      rig.batches.push(batch);
      for (const object of batch.upserts) rig.known.set(keyOf(object), true);
      for (const key of batch.deletes) rig.known.set(key, false);
      server.notify();
    },
    onStored: (key, object) => {
      if (object === undefined) rig.stored.delete(key);
      else rig.stored.set(key, object);
      server.notify();
    },
    observer: { watchEnded: () => {}, following: (count) => rig.counts.push(count) },
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  try {
    await use({ ...rig, source });
  } finally {
    await source.close();
    await server.close();
  }
}

const CLASS = { metadata: { name: "lgw", generation: 1 }, spec: { controllerName: "a.com/b" } };
const route = (name: string, more: Record<string, unknown> = {}) => ({
  metadata: { name, namespace: "ns", generation: 1 },
  spec: {
    parentRefs: [{ group: GROUP, kind: "Gateway", name: "gw" }],
    rules: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }] }],
  },
  ...more,
});
const secret = (name: string, text: string) => ({
  metadata: { name, namespace: "ns" },
  type: "Opaque",
  data: { key: btoa(text) },
});

Deno.test("KubernetesSource tells first everything as one batch, then changes", async () => {
  await withSource(async ({ server, source, batches, known }) => {
    await source.start();
    assertEquals(batches.length, 1);
    assertEquals([...known.keys()].sort(), ["GatewayClass//lgw", "HTTPRoute/ns/a"]);
    server.put(ROUTES, route("b"));
    await server.until(() => known.get("HTTPRoute/ns/b") === true);
    server.remove(ROUTES, "ns/a");
    await server.until(() => known.get("HTTPRoute/ns/a") === false);
    assertEquals(server.requests.some(({ path }) => path.endsWith(SECRETS)), false);
  }, {
    prepare: (server) => {
      server.put(CLASSES, CLASS);
      server.put(ROUTES, route("a"));
    },
  });
});

Deno.test("KubernetesSource takes a status that comes back for no change, but keeps what is stored", async () => {
  await withSource(async ({ server, source, batches, stored }) => {
    await source.start();
    const object = server.put(ROUTES, { ...route("a"), status: { parents: [] } });
    const version = () => stored.get("HTTPRoute/ns/a")?.resourceVersion;
    await server.until(() => version() === object.metadata.resourceVersion);
    assertEquals(batches.length, 1);
    assertEquals(stored.get("HTTPRoute/ns/a")?.status, { parents: [] });
  }, { prepare: (server) => server.put(ROUTES, route("a")) });
});

Deno.test("KubernetesSource starts without kinds that are not installed, and finds them when they are", async () => {
  await withSource(async ({ server, source, known }) => {
    await source.start();
    server.put(ROUTES, route("a"));
    server.missing.clear();
    await server.until(() => known.get("HTTPRoute/ns/a") === true);
    for (const version of ["v1", "v1beta1"]) server.missing.add(`${GROUP}/${version}/httproutes`);
    server.end("close");
    await server.until(() => known.get("HTTPRoute/ns/a") === false);
  }, {
    prepare: (server) => {
      for (const version of ["v1", "v1beta1"]) server.missing.add(`${GROUP}/${version}/httproutes`);
    },
  });
});

Deno.test("KubernetesSource with rights in namespaces only assumes the class, once", async () => {
  const clusterWide = ({ path }: SeenRequest) => !path.includes("/namespaces/");
  const forbidden = { kind: "status", code: 403, reason: "Forbidden" } as const;
  await withSource(async ({ server, source, batches, known }) => {
    await source.start();
    assertEquals([...known.keys()].sort(), [
      "GatewayClass//lgw",
      "HTTPRoute/ns/a",
      "Namespace//ns",
    ]);
    // Asked again and refused again.
    const asked = () => server.requests.filter(clusterWide).length;
    const before = asked();
    await server.until(() => asked() > before + 6);
    assertEquals(batches.length, 1);
  }, {
    namespaces: ["ns"],
    prepare: (server) => {
      server.fail(clusterWide, ...Array.from({ length: 40 }, () => forbidden));
      server.put(ROUTES, route("a"));
      server.put(ROUTES, { ...route("b"), metadata: { name: "b", namespace: "other" } });
    },
  });
});

Deno.test("KubernetesSource follows the Secrets that are referred to, one by one, and no longer", async () => {
  await withSource(async ({ server, source, known, counts }) => {
    await source.start();
    const before = server.watching;
    assert(source.follow(new Set(["Secret/ns/tls", "Secret/ns/none"])) !== undefined);
    await server.until(() => known.get("Secret/ns/tls") === true && server.watching === before + 2);
    const asked = server.requests.filter(({ path }) => path.endsWith(SECRETS));
    assertEquals(asked.map(({ query }) => query.get("fieldSelector")).sort(), [
      "metadata.name=none",
      "metadata.name=tls",
    ]);
    // Known already: nothing to wait for.
    assertEquals(source.follow(new Set(["Secret/ns/tls", "Secret/ns/none"])), undefined);
    server.put(SECRETS, secret("none", "now"));
    await server.until(() => known.get("Secret/ns/none") === true);
    assertEquals(source.follow(new Set()), undefined);
    assertEquals([known.get("Secret/ns/tls"), known.get("Secret/ns/none")], [false, false]);
    await server.until(() => server.watching === before);
    assertEquals(counts, [2, 2, 0]);
  }, {
    prepare: (server) => {
      server.put(SECRETS, secret("tls", "one"));
      server.put(SECRETS, secret("other", "two"));
    },
  });
});

Deno.test("KubernetesSource waits for a Secret no longer than it may", async () => {
  await withSource(async ({ server, source, clock }) => {
    await source.start();
    server.fail(
      ({ path }) => path.endsWith(SECRETS),
      ...Array.from({ length: 50 }, () => ({ kind: "status", code: 403 } as const)),
    );
    await source.follow(new Set(["Secret/ns/tls"]));
    assert(clock.delays.includes(2_000));
  });
});

Deno.test("KubernetesSource follows nothing after it was closed", async () => {
  await withSource(async ({ server, source }) => {
    await source.start();
    await source.close();
    assertEquals(source.follow(new Set(["Secret/ns/tls"])), undefined);
    await server.until(() => server.watching === 0);
  });
});

Deno.test("KubernetesSource keeps the last good form of an object, and tells of its problem once", async () => {
  await withSource(async ({ server, source, batches, known }) => {
    await source.start();
    const bad = (generation: number) =>
      server.put(ROUTES, {
        metadata: { name: "a", namespace: "ns", generation },
        spec: { parentRefs: 7 },
      });
    bad(2);
    await server.until(() => batches.length === 2);
    assertEquals(asRecord(batches[1]?.problems[0])?.object, "HTTPRoute/ns/a");
    assertEquals([batches[1]?.deletes, known.get("HTTPRoute/ns/a")], [[], true]);
    bad(3);
    server.put(ROUTES, route("b"));
    await server.until(() => known.get("HTTPRoute/ns/b") === true);
    assertEquals(batches.length, 3);
    server.put(ROUTES, { ...route("a"), metadata: { name: "a", namespace: "ns", generation: 4 } });
    await server.until(() => batches.length === 4);
    assertEquals(batches[3]?.problems, []);
  }, { prepare: (server) => server.put(ROUTES, route("a")) });
});
