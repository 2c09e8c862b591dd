import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { silentLogger } from "../../../shared/lib/log.ts";
import { TestingClock } from "../../../shared/lib/testing_clock.ts";
import { type KubeApi, KubeApiError, type KubeRequest } from "./api.ts";
import { LEASE_TIMES, LeaseElection } from "./lease.ts";
import { asRecord } from "../decode/decoder.ts";
import { TestingApiServer } from "./testing_api_server.ts";

const LEASES = "coordination.k8s.io/leases";
const PLACE = "ns/controller";

function candidate(
  identity: string,
  { api, clock }: { api: Pick<KubeApi, "request" | "open">; clock: TestingClock },
): LeaseElection {
  return new LeaseElection({
    api,
    namespace: "ns",
    name: "controller",
    identity,
    clock,
    random: () => 0.5,
    log: silentLogger,
    note: () => `lineage of ${identity}`,
  });
}

async function withTwo(
  use: (
    two: { server: TestingApiServer; clock: TestingClock; a: LeaseElection; b: LeaseElection },
  ) => Promise<void>,
): Promise<void> {
  const server = new TestingApiServer();
  const clock = new TestingClock({ onDelay: () => server.notify() });
  const context = { api: server.api, clock };
  const a = candidate("a", context);
  assertEquals(await a.elected, undefined);
  const b = candidate("b", context);
  // The second one has seen the Lease, and waits for its end.
  await server.until(() => server.watching === 2 && clock.delays.some((wait) => wait > 2_000));
  try {
    await use({ server, clock, a, b });
  } finally {
    await a.close();
    await b.close();
    await server.close();
  }
}

const holder = (server: TestingApiServer) =>
  asRecord(server.get(LEASES, PLACE)?.spec)?.holderIdentity;

Deno.test("LeaseElection hands over at once when the leader goes, with its note", async () => {
  await withTwo(async ({ a, b }) => {
    await a.close();
    assertEquals(await b.elected, "lineage of a");
    assertEquals([a.valid, b.valid], [false, true]);
  });
});

Deno.test("LeaseElection ends at once when another holds the Lease, and does not release that one's", async () => {
  await withTwo(async ({ server, a }) => {
    const lease = server.get(LEASES, PLACE) ?? {};
    server.put(LEASES, {
      ...lease,
      spec: { holderIdentity: "c", leaseDurationSeconds: 4 },
    });
    assertEquals(await a.lost, "c holds the lease");
    await a.close();
    assertEquals(holder(server), "c");
  });
});

Deno.test("LeaseElection gives a deleted Lease back to its holder", async () => {
  await withTwo(async ({ server, clock, a, b }) => {
    const waits = clock.delays.length;
    server.remove(LEASES, PLACE);
    // The second one has seen that it went, and waits all the same.
    await server.until(() => clock.delays.length > waits);
    clock.advance(LEASE_TIMES.renew);
    await server.until(() => holder(server) === "a");
    assertEquals([a.valid, b.valid], [true, false]);
  });
});

type Fate = "lost" | "late" | "answered late" | "unanswered" | "fine";

interface Store {
  lease: Record<string, unknown> | undefined;
  version: number;
}

/** The way of one candidate to the Lease, behind a network that loses and delays requests and answers. */
class LossyLease {
  readonly #clock: TestingClock;
  readonly #fate: () => Fate;
  readonly #store: Store;
  calm = false;

  constructor(clock: TestingClock, { fate, store }: { fate: () => Fate; store: Store }) {
    this.#clock = clock;
    this.#fate = fate;
    this.#store = store;
  }

  open(): Promise<Response> {
    return Promise.reject(new KubeApiError(0, "", "no watches here"));
  }

  async request(request: KubeRequest): Promise<Record<string, unknown>> {
    const { timeout = 15_000, signal } = request;
    const fate = this.calm ? "fine" : this.#fate();
    const late = this.#clock.delay(timeout, signal).then(() => {
      throw new KubeApiError(0, "", "no answer");
    });
    late.catch(() => {});
    if (fate === "lost") return await late;
    const work = async () => {
      // May be stored long after whoever asked has given up.
      if (fate === "late") await this.#clock.delay(1_700);
      const answer = this.#serve(request);
      if (fate === "unanswered") return await late;
      if (fate === "answered late") await this.#clock.delay(1_800);
      return answer;
    };
    const working = work();
    working.catch(() => {});
    return await Promise.race([working, late]);
  }

  #serve({ method, body }: KubeRequest): Record<string, unknown> {
    if (method === "GET") {
      if (this.#store.lease === undefined) throw new KubeApiError(404, "NotFound", "none");
      return this.#store.lease;
    }
    const sent = asRecord(body) ?? {};
    const metadata = asRecord(sent.metadata) ?? {};
    const known = asRecord(this.#store.lease?.metadata)?.resourceVersion;
    if (metadata.resourceVersion !== known) throw new KubeApiError(409, "Conflict", "another");
    const resourceVersion = String(++this.#store.version);
    this.#store.lease = { ...sent, metadata: { ...metadata, resourceVersion } };
    return this.#store.lease;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await Promise.resolve();
}

Deno.test("LeaseElection has no two leaders at any time, and one again when the network is calm", async () => {
  const fates = fc.array(
    fc.constantFrom<Fate[]>(
      "lost",
      "late",
      "answered late",
      "answered late",
      "unanswered",
      "fine",
      "fine",
      "fine",
    ),
    { minLength: 20, maxLength: 60 },
  );
  let terms = 0;
  await fc.assert(
    fc.asyncProperty(fates, async (series) => {
      const clock = new TestingClock();
      let turn = 0;
      const fate = () => series[turn++ % series.length] ?? "fine";
      const lease = new LossyLease(clock, { fate, store: { lease: undefined, version: 0 } });
      const context = { api: lease, clock };
      const names = ["a", "b"];
      let candidates = names.map((name) => candidate(name, context));
      for (let time = 0; time < 40_000; time += 100) {
        lease.calm = time > 25_000;
        await settle();
        assert(candidates.filter(({ valid }) => valid).length <= 1, "two leaders");
        // Who has lost begins anew, as the controller does.
        candidates = await Promise.all(candidates.map(async (one, index) => {
          const reason = await Promise.race([one.lost, Promise.resolve(undefined)]);
          if (reason === undefined) return one;
          terms++;
          assertMatch(reason, /not renewed|holds the lease/);
          await one.close();
          return candidate(names[index] ?? "", context);
        }));
        clock.advance(100);
      }
      await settle();
      assertEquals(candidates.filter(({ valid }) => valid).length, 1);
      lease.calm = true;
      await Promise.all(candidates.map((one) => one.close()));
    }),
    { numRuns: 40, seed: 7 },
  );
  assert(terms > 10, `only ${terms} terms ended: nothing was tried`);
});

Deno.test("LeaseElection counts a term from when it was asked for, not from a late answer", async () => {
  const clock = new TestingClock();
  const store: Store = { lease: undefined, version: 0 };
  // The Lease is a's at once; a hears of it 1.8 s later, and then nothing any more.
  let asked = 0;
  const fates: Fate[] = ["fine", "answered late"];
  const a = candidate("a", {
    api: new LossyLease(clock, { fate: () => fates[asked++] ?? "lost", store }),
    clock,
  });
  await settle();
  const b = candidate("b", {
    api: new LossyLease(clock, { fate: () => "fine", store }),
    clock,
  });
  for (let time = 0; time < 6_000; time += 50) {
    await settle();
    assert(!(a.valid && b.valid), `two leaders after ${time} ms`);
    clock.advance(50);
  }
  assertEquals([a.valid, b.valid], [false, true]);
  assertMatch(await a.lost, /not renewed/);
  await a.close();
  await b.close();
});
