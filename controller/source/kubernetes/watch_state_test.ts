import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import {
  ABSENCES,
  INITIAL,
  type Outcome,
  outcomeOf,
  step,
  type WatchState,
} from "./watch_state.ts";

function after(outcomes: readonly Outcome[], from: WatchState = INITIAL): WatchState {
  return outcomes.reduce((state, outcome) => step(state, outcome).state, from);
}

const LISTED: Outcome = { kind: "listed", resourceVersion: "5" };

const version = fc.integer({ min: 1, max: 99 }).map(String);
const trouble: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constant<Outcome>({ kind: "ended", lively: false }),
  fc.constant<Outcome>({ kind: "expired" }),
  fc.constant<Outcome>({ kind: "streams_refused" }),
  fc.constant<Outcome>({ kind: "absent" }),
  fc.constant<Outcome>({ kind: "forbidden" }),
  fc.boolean().map((lost): Outcome => ({ kind: "failed", lost })),
);
const anything: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 4, arbitrary: trouble },
  version.map((resourceVersion): Outcome => ({ kind: "listed", resourceVersion })),
  version.map((resourceVersion): Outcome => ({ kind: "seen", resourceVersion })),
  fc.constant<Outcome>({ kind: "ended", lively: true }),
);

Deno.test("step() waits at least at every third request when nothing but trouble comes", () => {
  fc.assert(fc.property(fc.array(trouble, { maxLength: 40 }), (outcomes) => {
    let state = INITIAL;
    let circle = 0;
    for (const outcome of outcomes) {
      const next = step(state, outcome);
      state = next.state;
      circle = next.wait === "none" ? circle + 1 : 0;
      // One expired version and one refusal of streams are nobody's fault.
      assert(circle <= 2, JSON.stringify(outcomes));
    }
  }));
});

Deno.test("step() waits when lists succeed and every watch that follows is too old at once", () => {
  let state = INITIAL;
  const waits: string[] = [];
  for (let round = 0; round < 4; round++) {
    state = step(state, LISTED).state;
    const next = step(state, { kind: "expired" });
    state = next.state;
    waits.push(next.wait);
  }
  assertEquals(waits, ["none", "backoff", "backoff", "backoff"]);
  assert(state.failures >= 4, "the waits grow");
  // What is heard of a watch ends the circle.
  assertEquals(after([LISTED, { kind: "seen", resourceVersion: "9" }], state).failures, 0);
});

Deno.test("step() comes to watch again after any history, by one complete list", () => {
  fc.assert(fc.property(fc.array(anything, { maxLength: 40 }), (outcomes) => {
    const state = after(outcomes);
    if (state.phase === "watch") return;
    const listed = after([LISTED], state);
    assertEquals([listed.phase, listed.resourceVersion, listed.synced], ["watch", "5", true]);
  }));
});

Deno.test("step() continues only from versions of a complete list and of what came after it", () => {
  fc.assert(fc.property(fc.array(anything, { maxLength: 40 }), (outcomes) => {
    let state = INITIAL;
    let newest = "";
    for (const outcome of outcomes) {
      if (outcome.kind === "listed") newest = outcome.resourceVersion;
      else if (outcome.kind === "seen" && state.phase === "watch") newest = outcome.resourceVersion;
      state = step(state, outcome).state;
      assertEquals(state.resourceVersion, state.phase === "watch" ? newest : "");
    }
  }));
});

Deno.test("step() lists in pages where streams are refused, or fail again and again", () => {
  assertEquals(after([{ kind: "streams_refused" }]).phase, "page_list");
  const failing = Array.from({ length: 6 }, (): Outcome => ({ kind: "ended", lively: true }));
  assertEquals(after(failing).phase, "page_list");
  // A server that streams is asked to again.
  assertEquals(after([...failing, LISTED, { kind: "expired" }]).phase, "stream_list");
});

Deno.test("step() takes long looks before something that was there counts as absent", () => {
  let state = after([LISTED]);
  const waits = Array.from({ length: ABSENCES }, () => {
    const next = step(state, { kind: "absent" });
    state = next.state;
    return next.wait;
  });
  assertEquals(waits, ["long", "long", "long"]);
  assertEquals(state.absences, ABSENCES);
  assertNotEquals(step(INITIAL, { kind: "absent" }).wait, "long");
});

Deno.test("outcomeOf() tells refusals apart from trouble", () => {
  const of = (status: number, reason = "", state = INITIAL) =>
    outcomeOf({ status, reason }, state).kind;
  assertEquals([of(410), of(404), of(403)], ["expired", "absent", "forbidden"]);
  // Credentials that are refused are no missing right: they come and go with their rotation.
  assertEquals([of(401), of(500), of(429), of(0)], ["failed", "failed", "failed", "failed"]);
  assertEquals([of(422), of(500, "Expired")], ["streams_refused", "expired"]);
  assertEquals(of(422, "", after([LISTED])), "failed");
});
