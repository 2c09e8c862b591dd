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

/** One Lease behind a network that loses and delays requests and answers. */
class LossyLease {
  readonly #clock: TestingClock;
  readonly #fate: () => "lost" | "late" | "unanswered" | "fine";
  #stored: Record<string, unknown> | undefined;
  #version = 0;
  calm = false;

  constructor(clock: TestingClock, fate: () => "lost" | "late" | "unanswered" | "fine") {
    this.#clock = clock;
    this.#fate = fate;
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
      return answer;
    };
    const working = work();
    working.catch(() => {});
    return await Promise.race([working, late]);
  }

  #serve({ method, body }: KubeRequest): Record<string, unknown> {
    if (method === "GET") {
      if (this.#stored === undefined) throw new KubeApiError(404, "NotFound", "none");
      return this.#stored;
    }
    const sent = asRecord(body) ?? {};
    const metadata = asRecord(sent.metadata) ?? {};
    const known = asRecord(this.#stored?.metadata)?.resourceVersion;
    if (metadata.resourceVersion !== known) throw new KubeApiError(409, "Conflict", "another");
    this.#stored = { ...sent, metadata: { ...metadata, resourceVersion: String(++this.#version) } };
    return this.#stored;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await Promise.resolve();
}

Deno.test("LeaseElection has no two leaders at any time, and one again when the network is calm", async () => {
  const fates = fc.array(
    fc.constantFrom<("lost" | "late" | "unanswered" | "fine")[]>(
      "lost",
      "late",
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
      const lease = new LossyLease(clock, () => series[turn++ % series.length] ?? "fine");
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
    { numRuns: 25, seed: 7 },
  );
  assert(terms > 10, `only ${terms} terms ended: nothing was tried`);
});
