import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { DigestTree } from "./digest.ts";
import { HEADER, openMessage, sealMessage, type SignedMessage } from "./envelope.ts";
import { generateSigningKey, KeySet } from "./keys.ts";
import type { SnapshotPayload, ValuePayload } from "./messages.ts";
import { RefusalError, type RefusalReason } from "./refusal.ts";
import type { Resource } from "./schema.ts";
import {
  cluster,
  resourcesArbitrary,
  signed,
  signedCheckpoint,
  signedEpoch,
  signedValue,
  TEST_SCOPE,
  TEST_TERM,
  testContext,
  testKeys,
  testSigner,
} from "./testing.ts";
import { type ScopeState, verifyEpoch, verifySnapshot, verifyValue } from "./verify.ts";

function refuses(reason: RefusalReason, act: () => unknown): void {
  const error = assertThrows(act, RefusalError);
  assert(error instanceof RefusalError);
  assertEquals(error.reason, reason, error.message);
}

function startState(): ScopeState {
  return verifySnapshot(signedCheckpoint([cluster("a")]), undefined, testContext()).state;
}

/** The delta from `state` to `state` plus cluster b. */
function deltaAfter(state: ScopeState, overrides: Partial<SnapshotPayload> = {}): SignedMessage {
  const set = new Map<string, Resource>([cluster("b")]);
  return signed("delta", {
    schema: 1,
    lineage: state.lineage,
    scope: state.scope,
    epoch: state.epoch,
    version: state.version + 1,
    baseDigest: state.digest,
    digest: state.tree.with({ set, deleted: [] }).digest,
    previous: state.chain,
    needs: [],
    set,
    deleted: [],
    meta: { changes: [], time: 0 },
    ...overrides,
  });
}

Deno.test("openMessage() takes back what sealMessage() signed, deflated or not", () => {
  const signer = testSigner();
  const keys = testKeys();
  fc.assert(fc.property(fc.array(fc.string(), { maxLength: 800 }), (texts) => {
    const payload = { texts: texts.map((text) => text.toWellFormed()) };
    const sealed = sealMessage({ type: "value", scope: "s", version: 7, payload }, signer);
    const opened = openMessage(sealed.message, { keys });
    assertEquals(opened.payload, payload);
    assertEquals([opened.type, opened.scope, opened.version], ["value", "s", 7]);
    assertEquals(opened.chain, sealed.chain);
  }));
});

Deno.test("verifySnapshot() holds for any content that was signed", () => {
  fc.assert(
    fc.property(resourcesArbitrary, (resources) => {
      const { state } = verifySnapshot(signedCheckpoint(resources), undefined, testContext());
      assertEquals(state.digest, DigestTree.of(resources).digest);
      assertEquals(state.resources.size, resources.size);
    }),
    { numRuns: 30 },
  );
});

Deno.test("verifySnapshot() refuses a flipped bit at every position of body and headers", () => {
  const message = signedCheckpoint([cluster("a")]);
  const verify = (changed: SignedMessage) => verifySnapshot(changed, undefined, testContext());
  verify(message);
  for (let at = 0; at < message.body.length; at++) {
    for (const bit of [0x01, 0x80]) {
      const body = Uint8Array.from(message.body);
      body[at] = (body[at] ?? 0) ^ bit;
      assertThrows(() => verify({ ...message, body }), RefusalError);
    }
  }
  for (const [name, value] of Object.entries(message.headers)) {
    for (let at = 0; at < value.length; at++) {
      for (const bit of [0x01, 0x02, 0x20]) {
        const flipped = value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ bit) +
          value.slice(at + 1);
        assertThrows(
          () => verify({ ...message, headers: { ...message.headers, [name]: flipped } }),
          RefusalError,
        );
      }
    }
    const { [name]: _, ...rest } = message.headers;
    assertThrows(() => verify({ ...message, headers: rest }), RefusalError);
  }
});

Deno.test("verifySnapshot() refuses a flipped byte at every position of a deflated message", () => {
  const resources = Array.from({ length: 60 }, (_, index) => cluster(`service-${index}`));
  const message = signedCheckpoint(resources);
  assertEquals(message.headers[HEADER.encoding], "deflate");
  for (let at = 0; at < message.body.length; at++) {
    const body = Uint8Array.from(message.body);
    body[at] = (body[at] ?? 0) ^ 0xff;
    assertThrows(
      () => verifySnapshot({ ...message, body }, undefined, testContext()),
      RefusalError,
    );
  }
});

Deno.test("verifySnapshot() names the reason of each refusal", async (t) => {
  const state = startState();
  const verify = (message: SignedMessage, context = testContext()) =>
    verifySnapshot(message, state, context);
  await t.step("takes the delta that follows", () => {
    const { state: next, changed } = verify(deltaAfter(state));
    assertEquals(next.version, 2);
    assertEquals([...(changed ?? [])], ["cluster/default/b/80"]);
    assertEquals(state.resources.size, 1);
  });
  await t.step("key", () => {
    const keys = new KeySet([generateSigningKey().publicKey]);
    refuses("key", () => verify(deltaAfter(state), testContext({ keys })));
  });
  await t.step("scope", () => {
    const scope = "gateway/default/other";
    refuses("scope", () => verify(deltaAfter(state, { scope })));
    refuses("scope", () => verify(signedEpoch(TEST_TERM)));
  });
  await t.step("envelope", () => {
    const message = deltaAfter(state);
    const headers = { ...message.headers, [HEADER.version]: "3" };
    refuses("envelope", () => verify({ ...message, headers }));
    // The type is part of what is signed.
    const retyped = { ...message.headers, [HEADER.type]: "checkpoint" };
    refuses("signature", () => verify({ ...message, headers: retyped }));
  });
  await t.step("lineage", () => {
    refuses("lineage", () => verify(deltaAfter(state, { lineage: "l2" })));
    const term = { ...TEST_TERM, lineage: "l2" };
    const other = signedCheckpoint([cluster("a")], { lineage: "l2" });
    refuses("lineage", () => verify(other, testContext({ term })));
    const linked = testContext({ term: { ...term, previousLineage: "l1" } });
    assertEquals(verify(other, linked).state.lineage, "l2");
    refuses("base", () => verify(deltaAfter(state, { lineage: "l2" }), linked));
  });
  await t.step("epoch", () => {
    refuses("epoch", () => verify(deltaAfter(state, { epoch: 2 })));
    refuses("epoch", () => verify(deltaAfter(state), testContext({ minEpoch: 2 })));
    const term = { ...TEST_TERM, epoch: 2 };
    const later = verify(deltaAfter(state, { epoch: 2 }), testContext({ term })).state;
    refuses(
      "epoch",
      () => verifySnapshot(deltaAfter(later, { epoch: 1 }), later, testContext({ term })),
    );
  });
  await t.step("version", () => {
    refuses("version", () => verify(deltaAfter(state, { version: 3 })));
    const newer = verify(deltaAfter(state)).state;
    const old = signedCheckpoint([cluster("a")]);
    refuses("version", () => verifySnapshot(old, newer, testContext()));
    refuses("version", () => verify(signedCheckpoint([cluster("b")])));
    refuses(
      "content",
      () =>
        verifySnapshot(deltaAfter(state, { version: 1 }), { ...state, version: 0 }, testContext()),
    );
  });
  await t.step("base", () => {
    refuses("base", () => verify(deltaAfter(state, { baseDigest: "sha256:00" })));
    refuses("base", () => verify(deltaAfter(state, { previous: "sha256:00" })));
    refuses("base", () => verifySnapshot(deltaAfter(state), undefined, testContext()));
  });
  await t.step("digest", () => {
    refuses("digest", () => verify(deltaAfter(state, { digest: state.digest })));
  });
  await t.step("content", () => {
    const message = sealMessage(
      { type: "delta", scope: TEST_SCOPE, version: 2, payload: { set: { "cluster/a": {} } } },
      testSigner(),
    ).message;
    refuses("schema", () => verify(deltaAfter(state, { schema: 2 })));
    refuses("content", () => verify(message));
  });
  await t.step("requires", () => {
    const [id, resource] = cluster("b");
    const set = new Map<string, Resource>([[id, { ...resource, requires: ["time-travel"] }]]);
    const digest = state.tree.with({ set, deleted: [] }).digest;
    const message = deltaAfter(state, { set, digest });
    refuses("requires", () => verify(message));
    verify(message, testContext({ features: new Set(["time-travel"]) }));
  });
  await t.step("size", () => {
    const message = signedCheckpoint(Array.from({ length: 100 }, (_, i) => cluster(`c${i}`)));
    refuses("size", () => verify(message, testContext({ maxPayloadBytes: 5000 })));
  });
  await t.step("a checkpoint of the same version is no change", () => {
    assert(verify(signedCheckpoint([cluster("a")])).repeated);
  });
});

Deno.test("verifySnapshot() throws nothing but RefusalError for any payload", () => {
  const signer = testSigner();
  const json = fc.jsonValue({ maxDepth: 4 }).map((value) =>
    JSON.parse(JSON.stringify(value, (_, v) => typeof v === "number" ? Math.trunc(v) : v ?? 0))
  );
  const shaped = fc.record({
    schema: fc.constant(1),
    lineage: fc.constant("l1"),
    scope: fc.constant(TEST_SCOPE),
    epoch: fc.constant(1),
    version: fc.constant(1),
    baseDigest: fc.constant(""),
    digest: fc.string(),
    previous: fc.constant(""),
    needs: fc.constant([]),
    set: fc.dictionary(fc.constantFrom("cluster/a", "httproute/a/b", "listener/x"), json, {
      noNullPrototype: true,
    }),
    deleted: fc.constant([]),
    meta: fc.constant({ changes: [], time: 0 }),
  });
  fc.assert(fc.property(fc.oneof(json, shaped), (payload) => {
    let message: SignedMessage;
    try {
      message = sealMessage({ type: "checkpoint", scope: TEST_SCOPE, version: 1, payload }, signer)
        .message;
    } catch {
      return;
    }
    assertThrows(() => verifySnapshot(message, undefined, testContext()), RefusalError);
  }));
});

Deno.test("verifyValue() keeps the order of epoch and sequence, and the lineage", () => {
  const context = { keys: testKeys(), term: { ...TEST_TERM, epoch: 3 } };
  const payload: ValuePayload = {
    schema: 1,
    lineage: "l1",
    key: "default/app/80",
    epoch: 2,
    sequence: 5,
    value: { kind: "endpoints", endpoints: [] },
    time: 0,
  };
  const order = { lineage: "l1", epoch: 2, sequence: 5 };
  assertEquals(verifyValue(signedValue(payload), undefined, context), payload);
  assertEquals(verifyValue(signedValue(payload), order, context), undefined);
  const held = (sequence: number, epoch = 2) => ({ lineage: "l1", epoch, sequence });
  assert(verifyValue(signedValue(payload), held(9, 1), context) !== undefined);
  refuses("version", () => verifyValue(signedValue(payload), held(6), context));
  refuses("version", () => verifyValue(signedValue(payload), held(1, 3), context));
  refuses("epoch", () => verifyValue(signedValue({ ...payload, epoch: 4 }), undefined, context));
  refuses(
    "lineage",
    () => verifyValue(signedValue({ ...payload, lineage: "x" }), undefined, context),
  );
  const linked = { ...context, term: { ...context.term, lineage: "l2", previousLineage: "l1" } };
  assert(verifyValue(signedValue(payload), undefined, linked) !== undefined);
  const replaced = signedValue({ ...payload, lineage: "l2", epoch: 1, sequence: 1 });
  assert(verifyValue(replaced, order, linked) !== undefined);
});

Deno.test("verifyEpoch() never goes back and follows only a named lineage", () => {
  const context = { keys: testKeys() };
  const second = { ...TEST_TERM, epoch: 2 };
  assertEquals(verifyEpoch(signedEpoch(second), TEST_TERM, context), second);
  refuses("epoch", () => verifyEpoch(signedEpoch(TEST_TERM), second, context));
  const other = { ...TEST_TERM, lineage: "l2" };
  refuses("lineage", () => verifyEpoch(signedEpoch(other), second, context));
  const linked = { ...other, previousLineage: "l1" };
  assertEquals(verifyEpoch(signedEpoch(linked), second, context), linked);
  refuses("lineage", () => verifyEpoch(signedEpoch(second), linked, context));
});
