import { assert, assertEquals } from "@std/assert";
import { silentLogger } from "../../shared/lib/log.ts";
import { TestingClock } from "../../shared/lib/testing_clock.ts";
import { asRecord } from "../source/decode/decoder.ts";
import { TestingApiServer, type TestingObject } from "../source/kubernetes/testing_api_server.ts";
import type { StoredObject } from "../source/kubernetes/stored.ts";
import type { RouteStatus } from "./route.ts";
import { StatusWriter } from "./writer.ts";

const ROUTES = "gateway.networking.k8s.io/httproutes";
const RESOURCE = { group: "gateway.networking.k8s.io", version: "v1", plural: "httproutes" };
const US = "example.com/ours";
const PARENT = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "gw" } as const;

const FOREIGN = {
  controllerName: "example.com/other",
  parentRef: { name: "gw", unknown: { z: 1, a: [2] } },
  conditions: [{ type: "Odd", status: "Maybe" }],
};

function desired(status: "True" | "False" = "True"): RouteStatus {
  return {
    kind: "HTTPRoute",
    parents: [{
      controllerName: US,
      parentRef: PARENT,
      conditions: [{
        type: "Accepted",
        status,
        reason: status === "True" ? "Accepted" : "NoMatchingParent",
        message: "why",
        observedGeneration: 1,
      }],
    }],
  };
}

interface Rig {
  server: TestingApiServer;
  clock: TestingClock;
  writer: StatusWriter;
  counts: { written: number; conflicts: number; errors: number; changes: string[] };
  /** Puts a route and tells the writer, as a watch would. */
  put: (name: string, more?: Record<string, unknown>) => string;
  patches: () => number;
}

async function withWriter(
  use: (rig: Rig) => Promise<void>,
  { instant = true }: { instant?: boolean } = {},
): Promise<void> {
  const server = new TestingApiServer();
  const clock = new TestingClock({ instant, onDelay: () => server.notify() });
  const counts: Rig["counts"] = { written: 0, conflicts: 0, errors: 0, changes: [] };
  const writer = new StatusWriter({
    api: server.api,
    controllerName: US,
    clock,
    random: () => 0.5,
    log: silentLogger,
    fieldManager: "test",
    hooks: {
      onWritten: () => {
        counts.written++;
        server.notify();
      },
      onConflict: () => counts.conflicts++,
      onError: () => counts.errors++,
      onChange: ({ key }) => counts.changes.push(key),
    },
  });
  const put: Rig["put"] = (name, more = {}) => {
    const key = `HTTPRoute/ns/${name}`;
    const object = server.put(ROUTES, { metadata: { name, namespace: "ns" }, ...more });
    writer.onStored(key, storedOf(key, object));
    return key;
  };
  const patches = () => server.requests.filter(({ method }) => method === "PATCH").length;
  try {
    await use({ server, clock, writer, counts, put, patches });
  } finally {
    writer.close();
    await writer.idle();
    await server.close();
  }
}

function storedOf(key: string, { metadata, status }: TestingObject): StoredObject {
  const { name, uid, resourceVersion } = metadata;
  const known = asRecord(status);
  return {
    key,
    resource: RESOURCE,
    namespace: "ns",
    name,
    uid,
    resourceVersion,
    ...(known === undefined ? {} : { status: known }),
  };
}

const parentsOf = (server: TestingApiServer, name: string) =>
  asRecord(server.get(ROUTES, `ns/${name}`)?.status)?.parents;

Deno.test("StatusWriter writes one patch for a change, none for the same again", async () => {
  await withWriter(async ({ server, writer, counts, put, patches }) => {
    const key = put("a");
    writer.want(key, desired());
    await writer.idle();
    writer.want(key, desired());
    const stored = server.get(ROUTES, "ns/a");
    if (stored !== undefined) writer.onStored(key, storedOf(key, stored));
    await writer.idle();
    assertEquals([patches(), counts.written, counts.changes], [1, 1, [key]]);
    writer.want(key, desired("False"));
    await writer.idle();
    assertEquals(patches(), 2);
  });
});

Deno.test("StatusWriter leaves entries of others byte for byte, and takes ours away when not ours", async () => {
  await withWriter(async ({ server, writer, put }) => {
    const key = put("a", { status: { parents: [FOREIGN] } });
    writer.want(key, desired());
    await writer.idle();
    const parents = parentsOf(server, "a");
    assert(Array.isArray(parents) && parents.length === 2);
    assertEquals(JSON.stringify(parents[0]), JSON.stringify(FOREIGN));
    writer.want(key, undefined);
    // Until everything was wanted once nothing is known to be not ours.
    await writer.idle();
    assertEquals((parentsOf(server, "a") as unknown[]).length, 2);
    writer.complete();
    await writer.idle();
    assertEquals(JSON.stringify(parentsOf(server, "a")), JSON.stringify([FOREIGN]));
  });
});

Deno.test("StatusWriter writes nothing before it is told what should be", async () => {
  await withWriter(async ({ writer, put, server }) => {
    put("a", { status: { parents: [{ ...FOREIGN, controllerName: US }] } });
    await writer.idle();
    assertEquals(server.requests.length, 0);
  });
});

Deno.test("StatusWriter makes a refused patch anew with what others wrote", async () => {
  await withWriter(async ({ server, writer, counts, put }) => {
    const key = put("a");
    // The watch has not told of this one yet.
    server.put(ROUTES, {
      metadata: { name: "a", namespace: "ns" },
      status: { parents: [FOREIGN] },
    });
    writer.want(key, desired());
    await writer.idle();
    assertEquals((parentsOf(server, "a") as unknown[]).length, 2);
    assertEquals([counts.conflicts, counts.errors], [1, 0]);
  });
});

Deno.test("StatusWriter waits between conflicts that do not end", async () => {
  await withWriter(async ({ server, clock, writer, counts, put }) => {
    const key = put("a");
    const conflict = { kind: "status", code: 409, reason: "Conflict" } as const;
    server.fail(({ method }) => method === "PATCH", ...Array.from({ length: 5 }, () => conflict));
    writer.want(key, desired());
    await server.until(() => parentsOf(server, "a") !== undefined);
    await writer.idle();
    assertEquals(counts.conflicts, 5);
    assertEquals(clock.delays, [200, 400, 800]);
  });
});

Deno.test("StatusWriter believes a server whose versions began again further down", async () => {
  await withWriter(async ({ server, writer, counts, put }) => {
    const key = put("a");
    server.turnBack(5);
    server.put(ROUTES, { metadata: { name: "a", namespace: "ns" } });
    writer.want(key, desired());
    await writer.idle();
    assert(parentsOf(server, "a") !== undefined);
    assertEquals([counts.conflicts, counts.written], [1, 1]);
  });
});

Deno.test("StatusWriter tries again after errors, as late as the server asks", async () => {
  await withWriter(async ({ server, clock, writer, counts, put, patches }) => {
    const key = put("a");
    server.fail(
      ({ method }) => method === "PATCH",
      { kind: "status", code: 500 },
      { kind: "status", code: 429, retryAfter: 7 },
    );
    writer.want(key, desired());
    await server.until(() => counts.written === 1);
    assertEquals([clock.delays, counts.errors, patches()], [[200, 7_000], 2, 3]);
  });
});

Deno.test("StatusWriter forgets an object that is gone, its retries included", async () => {
  await withWriter(async ({ server, clock, writer, put, patches }) => {
    const key = put("a");
    server.remove(ROUTES, "ns/a");
    writer.want(key, desired());
    await server.until(() => clock.delays.length === 1);
    writer.onStored(key, undefined);
    clock.advance(60_000);
    await writer.idle();
    assertEquals([patches(), writer.statuses()], [1, {}]);
  }, { instant: false });
});

Deno.test("StatusWriter has a bounded number of patches in flight, and writes all", async () => {
  await withWriter(async ({ server, writer, put, patches }) => {
    let [open, most] = [0, 0];
    const request = server.api.request.bind(server.api);
    server.api.request = async (asked) => {
      most = Math.max(most, ++open);
      try {
        return await request(asked);
      } finally {
        open--;
      }
    };
    const keys = Array.from({ length: 300 }, (_, index) => put(`r${index}`));
    for (const key of keys) writer.want(key, desired());
    await writer.idle();
    assertEquals([patches(), most], [300, 8]);
  });
});
