/** Content and arbitraries for tests of the snapshot core. */
import fc from "fast-check";
import { sealMessage, type SignedMessage } from "./envelope.ts";
import { createSigner, KeySet, type Signer } from "./keys.ts";
import { DigestTree } from "./digest.ts";
import {
  EPOCH_SCOPE,
  type EpochPayload,
  snapshotData,
  type SnapshotPayload,
  type ValuePayload,
} from "./messages.ts";
import { type Resource, SCHEMA } from "./schema.ts";
import type { SnapshotContext } from "./verify.ts";

/** A key for tests alone, fixed so that vectors stay the same. */
export const TEST_KEY = {
  privateKey: "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
  publicKey: "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
};

export const TEST_SCOPE = "gateway/default/web";
export const TEST_TERM: EpochPayload = { lineage: "l1", epoch: 1, holder: "test", time: 0 };

export function testSigner(): Signer {
  return createSigner(TEST_KEY.privateKey);
}

export function testKeys(): KeySet {
  return new KeySet([TEST_KEY.publicKey]);
}

export function cluster(name: string, protocol: "http1" | "h2c" = "http1"): [string, Resource] {
  return [
    `cluster/default/${name}/80`,
    { kind: "cluster", endpoints: `default/${name}/80`, protocol },
  ];
}

/** What a reader of {@linkcode TEST_SCOPE} checks against. */
export function testContext(options: Partial<SnapshotContext> = {}): SnapshotContext {
  return {
    keys: testKeys(),
    scope: TEST_SCOPE,
    term: TEST_TERM,
    minEpoch: 0,
    features: new Set(),
    ...options,
  };
}

/** A signed checkpoint of `resources`, with payload members to override. */
export function signedCheckpoint(
  resources: Iterable<[string, Resource]>,
  overrides: Partial<SnapshotPayload> = {},
): SignedMessage {
  const set = new Map(resources);
  return signed("checkpoint", {
    schema: SCHEMA,
    lineage: TEST_TERM.lineage,
    scope: TEST_SCOPE,
    epoch: 1,
    version: 1,
    baseDigest: "",
    digest: DigestTree.of(set).digest,
    previous: "",
    needs: [],
    set,
    deleted: [],
    meta: { changes: [], time: 0 },
    ...overrides,
  });
}

/** Signs a snapshot payload as it is. */
export function signed(type: "delta" | "checkpoint", payload: SnapshotPayload): SignedMessage {
  const { scope, version } = payload;
  return sealMessage({ type, scope, version, payload: snapshotData(payload) }, testSigner())
    .message;
}

export function signedEpoch(record: EpochPayload): SignedMessage {
  return sealMessage(
    { type: "epoch", scope: EPOCH_SCOPE, version: record.epoch, payload: record },
    testSigner(),
  ).message;
}

export function signedValue(payload: ValuePayload): SignedMessage {
  return sealMessage(
    { type: "value", scope: payload.key, version: payload.sequence, payload },
    testSigner(),
  ).message;
}

/** Random resources by id; strings of every kind that JSON can hold. */
export const resourcesArbitrary: fc.Arbitrary<Map<string, Resource>> = fc.array(
  fc.record({
    name: fc.stringMatching(/^[a-z][a-z0-9-]{0,6}$/),
    endpoints: fc.string({ minLength: 1, unit: "binary" }).filter((text) => text.isWellFormed()),
    protocol: fc.constantFrom("http1" as const, "h2c" as const),
  }),
  { maxLength: 40 },
).map((entries) =>
  new Map(
    entries.map(({ name, endpoints, protocol }) => [
      `cluster/default/${name}/80`,
      { kind: "cluster", endpoints, protocol },
    ]),
  )
);
