import { assert, assertEquals } from "@std/assert";
import { TestingClock } from "../../shared/lib/testing_clock.ts";
import { TestingApiServer } from "../source/kubernetes/testing_api_server.ts";
import type { StoredObject } from "../source/kubernetes/stored.ts";
import type { Condition } from "./conditions.ts";
import { conditionChanges, EventWriter } from "./events.ts";

const US = "example.com/ours";
const EVENTS = "events.k8s.io/events";

const condition = (type: string, status: Condition["status"], message = "why"): Condition => ({
  type,
  status,
  reason: status === "True" ? type : "Wrong",
  message,
  observedGeneration: 1,
  lastTransitionTime: "2026-01-01T00:00:00Z",
});

function gateway(conditions: readonly Condition[], namespace = "ns"): StoredObject {
  return {
    key: `Gateway/${namespace}/gw`,
    resource: { group: "gateway.networking.k8s.io", version: "v1", plural: "gateways" },
    namespace,
    name: "gw",
    uid: "u1",
    resourceVersion: "7",
    status: { conditions },
  };
}

interface Rig {
  server: TestingApiServer;
  clock: TestingClock;
  events: EventWriter;
  counts: { written: number; errors: number; dropped: number };
}

async function withEvents(use: (rig: Rig) => Promise<void>, instant = true): Promise<void> {
  const server = new TestingApiServer();
  const clock = new TestingClock({ instant, onDelay: () => server.notify() });
  const counts = { written: 0, errors: 0, dropped: 0 };
  const count = (name: keyof typeof counts) => () => {
    counts[name]++;
    server.notify();
  };
  const events = new EventWriter({
    api: server.api,
    controllerName: US,
    identity: "controller-1",
    clock,
    hooks: {
      onWritten: count("written"),
      onError: count("errors"),
      onDropped: count("dropped"),
    },
  });
  try {
    await use({ server, clock, events, counts });
  } finally {
    await events.close();
    await server.close();
  }
}

Deno.test("EventWriter says what a condition says now, of which object, and who says so", async () => {
  await withEvents(async ({ server, events, counts }) => {
    const before = [condition("Programmed", "True")];
    events.onChange(gateway([condition("Programmed", "False", "no port")]), { conditions: before });
    await server.until(() => counts.written === 1);
    const { metadata, ...event } = server.get(EVENTS, server.places(EVENTS)[0] ?? "") ?? {};
    assertEquals(metadata?.namespace, "ns");
    assertEquals(event, {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      eventTime: "1970-01-01T00:16:40.000000Z",
      type: "Warning",
      reason: "Wrong",
      action: "StatusChanged",
      note: "Programmed is False: no port",
      regarding: {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "Gateway",
        namespace: "ns",
        name: "gw",
        uid: "u1",
        resourceVersion: "7",
      },
      reportingController: US,
      reportingInstance: "controller-1",
    });
  });
});

Deno.test("EventWriter does not repeat itself within ten minutes", async () => {
  await withEvents(async ({ server, clock, events, counts }) => {
    const [good, bad] = [[condition("Accepted", "True")], [condition("Accepted", "False")]];
    for (let turn = 0; turn < 5; turn++) {
      events.onChange(gateway(bad), { conditions: good });
      events.onChange(gateway(good), { conditions: bad });
    }
    await server.until(() => counts.written === 2);
    clock.advance(10 * 60_000);
    events.onChange(gateway(bad), { conditions: good });
    await server.until(() => counts.written === 3);
  });
});

Deno.test("EventWriter drops the oldest of a full queue, and writes ten a second", async () => {
  await withEvents(async ({ server, clock, events, counts }) => {
    for (let index = 0; index < 300; index++) {
      const object = { ...gateway([condition("Accepted", "False")]), uid: `u${index}` };
      events.onChange(object, undefined);
    }
    // One is being written.
    assertEquals(counts.dropped, 300 - 256 - 1);
    await server.until(() => counts.written === 1 && clock.next !== undefined);
    assertEquals(clock.next, 100);
    clock.advance(100);
    await server.until(() => counts.written === 2);
  }, false);
});

Deno.test("EventWriter counts what cannot be written, once, and nothing for a namespace that is gone", async () => {
  await withEvents(async ({ server, events, counts }) => {
    server.fail(
      () => true,
      { kind: "status", code: 500 },
      { kind: "status", code: 404 },
      { kind: "status", code: 403, message: "because it is being terminated" },
    );
    for (const type of ["Accepted", "Programmed", "ResolvedRefs", "Odd"]) {
      events.onChange(gateway([condition(type, "False")]), undefined);
    }
    await server.until(() => counts.written === 1);
    assertEquals([counts.errors, server.requests.length], [1, 4]);
  });
});

Deno.test("EventWriter keeps notes within 1 kB, whatever the characters", async () => {
  await withEvents(async ({ server, events, counts }) => {
    events.onChange(gateway([condition("Accepted", "False", "ü€𝄞".repeat(500))], ""), undefined);
    await server.until(() => counts.written === 1);
    const note = server.requests[0]?.body.note;
    assert(typeof note === "string" && new TextEncoder().encode(note).length <= 1024);
    // What has no namespace has its events in this one.
    assertEquals(server.requests[0]?.path, "/apis/events.k8s.io/v1/namespaces/default/events");
  });
});

Deno.test("conditionChanges() takes ours alone, and one good word of what is new", () => {
  const parent = (controllerName: string, status: Condition["status"]) => ({
    controllerName,
    parentRef: { group: "g", kind: "Gateway", name: "gw", sectionName: "http" },
    conditions: [condition("Accepted", status), condition("ResolvedRefs", status)],
  });
  const of = (...args: Parameters<typeof conditionChanges>) =>
    conditionChanges(...args).map(({ part, condition: { type, status } }) =>
      `${part} ${type} ${status}`
    );
  assertEquals(
    of(undefined, { parents: [parent(US, "True"), parent("example.com/other", "False")] }, US),
    ['parent "gw/http" Accepted True'],
  );
  assertEquals(
    of({ parents: [parent(US, "True")] }, { parents: [parent(US, "False")] }, US),
    ['parent "gw/http" Accepted False', 'parent "gw/http" ResolvedRefs False'],
  );
  const listeners = (status: Condition["status"]) => [{
    name: "http",
    conditions: [condition("Accepted", "True"), condition("Conflicted", status)],
  }];
  assertEquals(of(undefined, { listeners: listeners("False") }, US), []);
  assertEquals(of({ listeners: listeners("False") }, { listeners: listeners("True") }, US), [
    'listener "http" Conflicted True',
  ]);
});
