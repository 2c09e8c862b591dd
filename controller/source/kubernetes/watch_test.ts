import { assert, assertEquals } from "@std/assert";
import { TestingClock } from "../../../shared/lib/testing_clock.ts";
import { placeOf } from "./raw_object.ts";
import { TestingApiServer } from "./testing_api_server.ts";
import { CollectionWatch } from "./watch.ts";

const ROUTES = "gateway.networking.k8s.io/httproutes";
const RESOURCE = { group: "gateway.networking.k8s.io", version: "v1", plural: "httproutes" };

/** What a watch told, and the state that follows from it. */
interface Followed {
  server: TestingApiServer;
  clock: TestingClock;
  /** Place → `data` of the object. */
  held: Map<string, unknown>;
  lists: string[][];
  deleted: string[];
  outcomes: string[];
  /** Called before each change is taken. */
  onChanged: () => void;
}

async function following(
  use: (followed: Followed) => Promise<void>,
  prepare: (server: TestingApiServer) => void = () => {},
): Promise<void> {
  const server = new TestingApiServer();
  prepare(server);
  const clock = new TestingClock({ instant: true });
  const followed: Followed = {
    server,
    clock,
    held: new Map(),
    lists: [],
    deleted: [],
    outcomes: [],
    onChanged: () => {},
  };
  const { held, lists, deleted, outcomes } = followed;
  const watch = new CollectionWatch({
    api: server.api,
    resource: RESOURCE,
    selection: {},
    clock,
    random: () => 0.5,
    handler: {
      listed: (objects) => {
        held.clear();
        for (const object of objects) held.set(placeOf(object), object.body.data);
        lists.push([...held.keys()].sort());
        server.notify();
      },
      changed: (changes) => {
        followed.onChanged();
        for (const { kind, object } of changes) {
          if (kind === "set") held.set(placeOf(object), object.body.data);
          else {
            held.delete(placeOf(object));
            deleted.push(placeOf(object));
          }
        }
        server.notify();
      },
      ended: ({ kind }) => {
        outcomes.push(kind);
        server.notify();
      },
    },
  });
  try {
    await use(followed);
  } finally {
    await watch.close();
    await server.close();
  }
}

const route = (name: string, data: unknown = 1) => ({ metadata: { name, namespace: "ns" }, data });

const isWatch = ({ query }: { query: URLSearchParams }) => query.get("watch") === "true";

Deno.test("CollectionWatch streams the list, then changes, in one request", async () => {
  await following(async ({ server, held, lists, deleted }) => {
    await server.until(() => lists.length === 1);
    assertEquals(lists, [["ns/a", "ns/b"]]);
    server.put(ROUTES, route("c"));
    server.put(ROUTES, route("a", 2));
    server.remove(ROUTES, "ns/b");
    await server.until(() => deleted.length === 1);
    assertEquals([...held], [["ns/a", 2], ["ns/c", 1]]);
    assertEquals(server.requests.length, 1);
  }, (server) => {
    server.put(ROUTES, route("a"));
    server.put(ROUTES, route("b"));
  });
});

Deno.test("CollectionWatch lists in pages where streams are refused, and forgets no page", async () => {
  await following(async ({ server, lists, held }) => {
    await server.until(() => lists.length === 1 && server.watching === 1);
    assertEquals(lists[0]?.length, 1201);
    assertEquals(server.requests.filter(({ query }) => query.has("limit")).length, 3);
    server.put(ROUTES, route("late"));
    await server.until(() => held.has("ns/late"));
  }, (server) => {
    server.streams = false;
    for (let count = 0; count <= 1200; count++) server.put(ROUTES, route(`r${count}`));
  });
});

Deno.test("CollectionWatch goes on where it was after a cut, and loses and repeats nothing", async () => {
  await following(async ({ server, lists, held, outcomes }) => {
    await server.until(() => lists.length === 1);
    server.put(ROUTES, route("b"));
    await server.until(() => held.has("ns/b"));
    server.fail(isWatch, { kind: "cut", after: 1 }, { kind: "status", code: 500 });
    server.end("cut");
    server.put(ROUTES, route("c"));
    server.put(ROUTES, route("d"));
    await server.until(() => held.size === 4);
    assertEquals(lists.length, 1);
    assert(outcomes.every((kind) => kind === "failed"), outcomes.join());
    // The version of what was seen, not of the list.
    assertEquals(server.requests.at(-1)?.query.has("sendInitialEvents"), false);
  }, (server) => void server.put(ROUTES, route("a")));
});

Deno.test("CollectionWatch lists anew when its version is too old, and only that deletes", async () => {
  await following(async ({ server, lists, deleted, outcomes }) => {
    await server.until(() => lists.length === 1);
    server.fail(isWatch, ...["x", "y", "z"].map(() => ({ kind: "status", code: 500 } as const)));
    server.end("cut");
    await server.until(() => outcomes.filter((kind) => kind === "failed").length >= 3);
    assertEquals(lists, [["ns/a", "ns/b"]]);
    await server.until(() => server.watching === 1);
    server.fail(isWatch, { kind: "status", code: 503 });
    server.end("close");
    server.remove(ROUTES, "ns/a");
    server.expire();
    await server.until(() => lists.length === 2);
    assertEquals([lists[1], deleted], [["ns/b"], []]);
    assert(outcomes.includes("expired"));
  }, (server) => {
    server.put(ROUTES, route("a"));
    server.put(ROUTES, route("b"));
  });
});

Deno.test("CollectionWatch waits ever longer while a server is away, and no longer than it may", async () => {
  await following(async ({ server, clock, lists }) => {
    await server.until(() => lists.length === 1);
    const pauses = clock.delays.slice(0, 9);
    assertEquals(pauses.slice(0, 3), [100, 200, 30_000]);
    assert(pauses.slice(3).every((pause) => pause >= 400 && pause <= 6_000), pauses.join());
  }, (server) => {
    const failure = { kind: "status", code: 500 } as const;
    server.fail(
      () => true,
      failure,
      failure,
      { kind: "status", code: 429, retryAfter: 3600 },
      ...Array.from({ length: 6 }, () => failure),
    );
  });
});

Deno.test("CollectionWatch does not ask in a circle a server that ends every watch at once", async () => {
  await following(async ({ server, clock, lists, outcomes }) => {
    await server.until(() => lists.length >= 1);
    server.fail(isWatch, ...Array.from({ length: 6 }, () => ({ kind: "close" } as const)));
    server.end("close");
    await server.until(() => outcomes.length >= 6);
    assertEquals(clock.delays.length >= outcomes.length - 1, true);
    assertEquals(lists.length, 1);
  });
});

Deno.test("CollectionWatch lists anew when whoever it tells could not take a change", async () => {
  await following(async (followed) => {
    const { server, lists, held } = followed;
    await server.until(() => lists.length === 1);
    followed.onChanged = () => {
      followed.onChanged = () => {};
      throw new Error("a fault");
    };
    server.put(ROUTES, route("a"));
    await server.until(() => held.has("ns/a"));
    assertEquals(lists, [[], ["ns/a"]]);
  });
});
