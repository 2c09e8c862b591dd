import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { type HealthLimits, SetHealth } from "./endpoint_health.ts";
import { Place } from "./place.ts";
import { SetLoad } from "./set_load.ts";
import { type Verdict, verdictOfAnswer, verdictOfError } from "./verdict.ts";
import { UpstreamError } from "./errors.ts";

const LIMITS: HealthLimits = {
  ejectAfterFailures: 3,
  ejectAfterGatewayErrors: 4,
  ejectTime: 1_000,
  maxEjectTime: 5_000,
  maxEjectedPercent: 50,
  panicPercent: 50,
};

interface Rig {
  health: SetHealth;
  places: Place[];
  events: string[];
  time: { now: number };
}

/** A set of endpoints with ports 1 to `size`, at time 0. */
function rig(size: number, limits: Partial<HealthLimits> = {}): Rig {
  const time = { now: 0 };
  const events: string[] = [];
  const health = new SetHealth({
    limits: { ...LIMITS, ...limits },
    clock: { monotonic: () => time.now },
    random: () => 0,
    observer: {
      ejected: ({ port }, { cause, ms }) => events.push(`${port} ejected ${cause} ${ms}`),
      back: ({ port }) => events.push(`${port} back`),
      panic: (on) => events.push(on ? "panic" : "panic over"),
    },
  });
  const load = new SetLoad(DEFAULT_LIMITS);
  const places = Array.from(
    { length: size },
    (_, i) => new Place({ address: "10.0.0.1", port: i + 1 }, { health, load }),
  );
  health.setPlaces(places, 0);
  return { health, places, events, time };
}

function report(place: Place, verdict: Verdict, times = 1): void {
  for (let i = 0; i < times; i++) place.report(verdict, place.epoch);
}

function picked({ health }: Rig, count: number): number[] {
  return [...new Set(Array.from({ length: count }, () => health.pick()!.port))].sort();
}

Deno.test("SetHealth ejects after failures in a row, and not when one in between was good", () => {
  const set = rig(4);
  const [first] = set.places;
  report(first!, "connection", 2);
  report(first!, "good");
  report(first!, "connection", 2);
  assertEquals(picked(set, 8), [1, 2, 3, 4]);
  report(first!, "connection");
  assertEquals(set.events, ["1 ejected connection 1000"]);
  assertEquals(picked(set, 8), [2, 3, 4]);
  assertEquals([set.health.ejected, set.health.ejections.connection], [1, 1]);
});

Deno.test("SetHealth counts gateway errors apart from failures, and 0 switches either off", () => {
  const set = rig(4);
  const [first, second] = set.places;
  report(first!, "connection", 2);
  // Whoever answers can be reached.
  report(first!, "gateway", 3);
  report(first!, "connection", 2);
  assertEquals(set.events, []);
  report(first!, "gateway");
  assertEquals(set.events, ["1 ejected gateway 1000"]);
  report(second!, "none", 100);
  assertEquals(set.health.ejected, 1);
  const never = rig(4, { ejectAfterFailures: 0, ejectAfterGatewayErrors: 0 });
  report(never.places[0]!, "connection", 100);
  report(never.places[0]!, "gateway", 100);
  assertEquals(never.events, []);
});

Deno.test("SetHealth probes with one request when the time is over, and takes back who answers", () => {
  const set = rig(4);
  const [first] = set.places;
  const { epoch: before } = first!;
  report(first!, "connection", 3);
  set.time.now = 999;
  assertEquals(picked(set, 8), [2, 3, 4]);
  set.time.now = 1_000;
  const probe = set.health.pick();
  assertEquals(probe, first);
  assertEquals(picked(set, 8), [2, 3, 4]);
  // What was sent before it was ejected does not say that it is back.
  first!.report("good", before);
  assertEquals(set.health.ejected, 1);
  report(first!, "good");
  assertEquals(set.events.slice(1), ["1 back"]);
  assertEquals(picked(set, 8), [1, 2, 3, 4]);
});

Deno.test("SetHealth ejects for longer each time in a row, within a bound, until one had rest", () => {
  const set = rig(4);
  const [first] = set.places;
  report(first!, "connection", 3);
  const waits = [1_000, 2_000, 4_000, 5_000, 5_000];
  for (const wait of waits) {
    set.time.now += wait - 1;
    assert(set.health.pick() !== first);
    set.time.now += 1;
    assertEquals(set.health.pick(), first);
    report(first!, "connection");
  }
  assertEquals(set.events.map((event) => Number(event.split(" ").at(-1))), [
    ...waits,
    5_000,
  ]);
  // Back, and failing again at once: still in a row.
  set.time.now += 5_000;
  set.health.pick();
  report(first!, "good");
  report(first!, "connection", 3);
  assertEquals(set.events.at(-1), "1 ejected connection 5000");
  set.time.now += 5_000;
  set.health.pick();
  report(first!, "good");
  set.time.now += 5_000;
  report(first!, "connection", 3);
  assertEquals(set.events.at(-1), "1 ejected connection 1000");
});

Deno.test("SetHealth sends another probe when one said nothing, or nothing was heard of it", () => {
  const set = rig(4);
  const [first] = set.places;
  report(first!, "connection", 3);
  set.time.now = 1_000;
  assertEquals(set.health.pick(), first);
  // Its client went away.
  report(first!, "none");
  assertEquals(set.health.pick(), first);
  assert(set.health.pick() !== first);
  set.time.now = 2_000;
  assertEquals(set.health.pick(), first);
});

Deno.test("SetHealth ejects at most a share, so never the only one, and counts what it left", () => {
  const single = rig(1);
  report(single.places[0]!, "connection", 100);
  assertEquals([single.health.ejected, single.health.withheld], [0, 1]);
  assertEquals(picked(single, 2), [1]);
  const set = rig(5);
  for (const place of set.places) report(place, "connection", 3);
  assertEquals([set.health.ejected, set.health.withheld], [2, 3]);
  // Room again: the next failure of who was left in use is enough.
  set.time.now = 1_000;
  const probe = set.health.pick()!;
  report(probe, "good");
  report(set.places[4]!, "connection");
  assertEquals(set.events.at(-1), "5 ejected connection 1000");
});

Deno.test("SetHealth uses all when too few are left, and takes back whoever then answers", () => {
  const set = rig(4, { maxEjectedPercent: 100 });
  for (const place of set.places.slice(0, 2)) report(place, "connection", 3);
  assertEquals([set.health.panicking, picked(set, 8)], [false, [3, 4]]);
  report(set.places[2]!, "connection", 3);
  assertEquals([set.health.panicking, picked(set, 8)], [true, [1, 2, 3, 4]]);
  // Failures in a panic are no probes.
  report(set.places[0]!, "connection", 10);
  assertEquals(set.health.ejections, { connection: 3, gateway: 0, probe: 0 });
  report(set.places[0]!, "good");
  assertEquals([set.health.panicking, picked(set, 8)], [false, [1, 4]]);
  assertEquals(set.events.slice(-2), ["panic over", "1 back"]);
  assertEquals(set.health.panics, 1);
});

Deno.test("SetHealth panics when those that were in use leave the set", () => {
  const set = rig(4);
  for (const place of set.places.slice(0, 2)) report(place, "connection", 3);
  set.health.setPlaces(set.places.slice(0, 2), 0);
  assertEquals([set.health.panicking, picked(set, 4)], [true, [1, 2]]);
  set.health.setPlaces([], 0);
  assertEquals([set.health.panicking, set.health.pick()], [false, undefined]);
});

Deno.test("SetHealth.pickUntried() leaves ejected ones out and never probes", () => {
  const set = rig(3);
  report(set.places[0]!, "connection", 3);
  set.time.now = 1_000;
  const [, second, third] = set.places;
  assertEquals(set.health.pickUntried(new Set([second!])), third);
  assertEquals(set.health.pickUntried(new Set([second!, third!])), undefined);
});

Deno.test("a verdict blames the endpoint for what is its own", () => {
  const answered = (status: number, headers: string[] = [], call = false) =>
    verdictOfAnswer({ status, headers }, { call });
  assertEquals([200, 404, 500, 501, 502, 503, 504, 505].map((status) => answered(status)), [
    "good",
    "good",
    "good",
    "good",
    "gateway",
    "gateway",
    "gateway",
    "good",
  ]);
  const unavailable = ["grpc-status", "14"];
  assertEquals(
    [answered(200, unavailable, true), answered(200, unavailable), answered(200, [], true)],
    ["gateway", "good", "good"],
  );
  const of = (...[kind]: ConstructorParameters<typeof UpstreamError>) =>
    verdictOfError(new UpstreamError(kind, ""));
  assertEquals([of("connect", ""), of("reset", ""), of("timeout", "")], [
    "connection",
    "connection",
    "gateway",
  ]);
  assertEquals([of("aborted", ""), of("request_body", ""), verdictOfError(new Error())], [
    "none",
    "none",
    "none",
  ]);
});

/** What happens to a set, at random. */
type Step =
  | { kind: "request"; verdict: Verdict }
  | { kind: "wait"; ms: number }
  | { kind: "old"; verdict: Verdict }
  | { kind: "resize"; size: number };

const verdicts = fc.constantFrom<Verdict>("good", "connection", "gateway", "none");
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({ kind: fc.constant("request" as const), verdict: verdicts }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(3_000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("old" as const), verdict: verdicts }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("resize" as const), size: fc.nat(8) }) },
  ),
  { maxLength: 200, size: "max" },
);
const someLimits = fc.record({
  ejectAfterFailures: fc.nat(3),
  ejectAfterGatewayErrors: fc.nat(3),
  ejectTime: fc.integer({ min: 1, max: 2_000 }),
  maxEjectTime: fc.integer({ min: 1, max: 5_000 }),
  maxEjectedPercent: fc.nat(100),
  panicPercent: fc.integer({ min: 1, max: 100 }),
});

Deno.test("SetHealth keeps the share, always has somebody to pick, uses all in a panic, and all come back", () => {
  fc.assert(
    fc.property(someLimits, fc.integer({ min: 1, max: 8 }), steps, (limits, size, list) => {
      const set = rig(size, limits);
      const { health, time } = set;
      const everybody = rig(8).places.map((place) =>
        new Place(place, { health, load: place.load })
      );
      health.setPlaces(everybody.slice(0, size), 0);
      for (const step of list) {
        const before = health.ejected;
        switch (step.kind) {
          case "wait":
            time.now += step.ms;
            break;
          case "resize": {
            // Whoever left comes again as somebody new, as the registry has it.
            const staying = health.places.slice(0, step.size);
            const fresh = everybody.slice(staying.length, step.size).map((place) =>
              new Place(place, { health, load: place.load })
            );
            health.setPlaces([...staying, ...fresh], 0);
            break;
          }
          case "old":
            // Sent before whatever happened last.
            health.places[0]?.report(step.verdict, (health.places[0]?.epoch ?? 0) - 1);
            assertEquals(health.ejected, before);
            break;
          case "request": {
            const place = health.pick();
            assertEquals(place === undefined, health.places.length === 0);
            if (place !== undefined) report(place, step.verdict);
            // Never beyond the share by an ejection.
            const share = limits.maxEjectedPercent * health.places.length;
            assert(health.ejected <= before || health.ejected * 100 <= share);
            break;
          }
        }
        const { ejected, places } = health;
        const left = places.length - ejected;
        const tooFew = ejected > 0 &&
          (left === 0 || left * 100 < limits.panicPercent * places.length);
        assertEquals(health.panicking, tooFew);
        const used = new Set<Place>();
        for (
          let place = health.pickUntried(used);
          place !== undefined;
          place = health.pickUntried(used)
        ) used.add(place);
        assertEquals(used.size, tooFew ? places.length : left);
      }
      // All well from now on: whoever is out comes back, each by one request when its time is over.
      for (let i = 0; i < 20 && health.ejected > 0; i++) {
        time.now += limits.maxEjectTime + limits.ejectTime;
        for (let n = 0; n < 20; n++) {
          const place = health.pick();
          if (place !== undefined) report(place, "good");
        }
      }
      assertEquals([health.ejected, health.panicking], [0, false]);
    }),
    { numRuns: 300 },
  );
});
