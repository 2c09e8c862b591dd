import { assertEquals } from "@std/assert";
import { valueSubject } from "../../bus/subjects.ts";
import type { BusReader } from "../../bus/transport.ts";
import { systemClock } from "../../lib/clock.ts";
import { generateFleetKey, publicHalf } from "../../secrets/fleet_key.ts";
import { sealKey } from "../../secrets/seal.ts";
import { sealMessage } from "../../snapshot/envelope.ts";
import { createSigner, generateSigningKey, KeySet } from "../../snapshot/keys.ts";
import { EPOCH_SCOPE } from "../../snapshot/messages.ts";
import { type Resource, SCHEMA } from "../../snapshot/schema.ts";
import { EpochFollower } from "./epoch_follower.ts";
import { RecordingTarget } from "./testing.ts";
import { ValueStore } from "./value_store.ts";

const SLOT = "cert/ns/shop";
const FLEET = "default";
const LINEAGE = "one";
/** Microtasks between the arrival of a secret and the swap that refers to its slot again. */
const MOMENTS = 40;

/** Nothing is read in these tests. */
const NO_BUS: BusReader = {
  connected: true,
  onConnected: () => () => {},
  consume: () => {
    throw new Error("nothing is consumed");
  },
  last: () => Promise.resolve(undefined),
  close: () => Promise.resolve(),
} as Partial<BusReader> as BusReader;

Deno.test("ValueStore: a secret that is given again never replaces one that came meanwhile", async () => {
  const signing = generateSigningKey();
  const signer = createSigner(signing.privateKey);
  const keys = new KeySet([signing.publicKey]);
  const fleetKey = await generateFleetKey();
  const epochs = new EpochFollower({
    bus: NO_BUS,
    keys,
    onRefused: (error) => {
      throw error;
    },
  });
  const time = 0;
  const record = { schema: SCHEMA, lineage: LINEAGE, epoch: 1, holder: "test", time };
  epochs.take(
    sealMessage({ type: "epoch", scope: EPOCH_SCOPE, version: 1, payload: record }, signer).message,
    1,
  );
  const secret = async (sequence: number) => {
    const fingerprint = `sha256:${String(sequence).repeat(64)}`;
    const sealedKey = await sealKey(`key ${sequence}`, {
      fleet: FLEET,
      slot: SLOT,
      fingerprint,
      recipient: publicHalf(fleetKey),
    });
    const value = {
      kind: "secret",
      slot: SLOT,
      chain: `chain ${sequence}`,
      sealedKey,
      fingerprint,
    };
    const payload = {
      schema: SCHEMA,
      lineage: LINEAGE,
      key: SLOT,
      epoch: 1,
      sequence,
      value,
      time,
    };
    return sealMessage({ type: "value", scope: SLOT, version: sequence, payload }, signer).message;
  };
  const listener = { kind: "listener", certificates: [SLOT] } as Partial<Resource> as Resource;
  const resources = new Map([["listener/ns/gw/tls", listener]]);
  for (let moments = 0; moments < MOMENTS; moments++) {
    const target = new RecordingTarget();
    const store = new ValueStore({
      bus: NO_BUS,
      fleet: FLEET,
      keys,
      epochs,
      target,
      fleetKey,
      clock: systemClock,
      onRefused: (_, error) => {
        throw error;
      },
      onTaken: () => {},
    });
    const subject = valueSubject("secret", SLOT);
    await store.offer(subject, await secret(1));
    // The Gateway goes, and comes back with another certificate in the same Secret.
    store.retain(resources, undefined);
    store.release(resources, undefined);
    assertEquals(target.certificates.size, 0);
    const next = await secret(2);
    const taken = store.offer(subject, next);
    for (let i = 0; i < moments; i++) await Promise.resolve();
    store.retain(resources, undefined);
    await taken;
    await store.waitFor([], 0);
    assertEquals(target.certificates.get(SLOT)?.key, "key 2", `after ${moments} moments`);
    await store.close();
  }
});
