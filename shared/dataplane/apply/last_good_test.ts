import { assert, assertEquals } from "@std/assert";
import type { BusReader } from "../../bus/transport.ts";
import { HEADER } from "../../snapshot/envelope.ts";
import { KeySet } from "../../snapshot/keys.ts";
import { SCHEMA } from "../../snapshot/schema.ts";
import { verifySnapshot } from "../../snapshot/verify.ts";
import type { ScopeState } from "../../snapshot/verify.ts";
import {
  cluster,
  signed,
  signedCheckpoint,
  signedEpoch,
  TEST_SCOPE,
  TEST_TERM,
  testContext,
  testKeys,
} from "../../snapshot/testing.ts";
import { EpochFollower } from "./epoch_follower.ts";
import { LastGood } from "./last_good.ts";
import { replayCopy } from "./replay_copy.ts";

const NO_BUS: BusReader = {
  connected: false,
  last: () => Promise.resolve(undefined),
  info: () => Promise.reject(new Error("no bus")),
  consume: () => ({ restart: () => {}, close: () => Promise.resolve() }),
  send: () => {},
  onConnected: () => () => {},
  close: () => Promise.resolve(),
};

async function withFolder(test: (folder: string, errors: unknown[]) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "lgw-copy-" });
  try {
    await test(folder, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function replay(folder: string, keys: KeySet, errors: unknown[]) {
  const loaded = await new LastGood({ folder, onError: (e) => errors.push(e) }).load();
  const reasons: string[] = [];
  const onRefused = ({ reason }: { reason: string }) => {
    reasons.push(reason);
  };
  const epochs = new EpochFollower({ bus: NO_BUS, keys, onRefused });
  const replayed = replayCopy(loaded, {
    keys,
    epochs,
    features: new Set(),
    onRefused: (_, error) => onRefused(error),
  });
  return { replayed, reasons };
}

async function fill(folder: string, errors: unknown[]) {
  const copy = new LastGood({ folder, onError: (e) => errors.push(e) });
  copy.saveEpoch({ subject: "lgw.v1.epoch", message: signedEpoch(TEST_TERM) });
  const message = signedCheckpoint([cluster("a"), cluster("b")]);
  copy.saveSnapshot(TEST_SCOPE, { subject: "s", message }, "checkpoint");
  await copy.flush();
  return verifySnapshot(message, undefined, testContext()).state;
}

Deno.test("LastGood gives back what verifies, for its owner's eyes alone", async () => {
  await withFolder(async (folder, errors) => {
    const state = await fill(folder, errors);
    const { replayed, reasons } = await replay(folder, testKeys(), errors);
    assertEquals(replayed.get(TEST_SCOPE)?.state.digest, state.digest);
    assertEquals(reasons, []);
    for await (const entry of Deno.readDir(folder)) {
      const { mode } = await Deno.stat(`${folder}/${entry.name}`);
      assertEquals((mode ?? 0) & 0o077, 0, entry.name);
    }
    assertEquals(errors, []);
  });
});

Deno.test("LastGood keeps scopes whose Gateway has the longest name that there is", async () => {
  await withFolder(async (folder, errors) => {
    const scopes = ["x", "y"].map((last) => `gateway/ns/${"x".repeat(252)}${last}`);
    const copy = new LastGood({ folder, onError: (e) => errors.push(e) });
    for (const scope of scopes) {
      const plain = signedCheckpoint([cluster("a")]);
      const message = { ...plain, headers: { ...plain.headers, [HEADER.scope]: scope } };
      copy.saveSnapshot(scope, { subject: "s", message }, "checkpoint");
    }
    await copy.flush();
    const loaded = await new LastGood({ folder, onError: (e) => errors.push(e) }).load();
    assertEquals([...loaded.scopes.keys()].sort(), scopes);
    copy.dropScope(scopes[0] ?? "");
    await copy.flush();
    const left = await new LastGood({ folder, onError: (e) => errors.push(e) }).load();
    assertEquals([...left.scopes.keys()], scopes.slice(1));
    assertEquals(errors, []);
  });
});

Deno.test("a changed local copy, or one of another key, is refused and not served", async () => {
  await withFolder(async (folder, errors) => {
    await fill(folder, errors);
    const other = await replay(folder, new KeySet([]), errors);
    assertEquals([other.replayed.size, other.reasons], [0, ["key"]]);
    const path = `${folder}/scope-${encodeURIComponent(TEST_SCOPE)}.jsonl`;
    const stored = JSON.parse(await Deno.readTextFile(path));
    const body = atob(stored.body).replace("default/b/80", "default/x/80");
    await Deno.writeTextFile(path, JSON.stringify({ ...stored, body: btoa(body) }) + "\n");
    const changed = await replay(folder, testKeys(), errors);
    assertEquals([changed.replayed.size, changed.reasons], [0, ["signature"]]);
    await Deno.writeTextFile(path, '{"torn');
    assertEquals((await replay(folder, testKeys(), errors)).replayed.size, 0);
    assertEquals(errors, []);
  });
});

Deno.test("LastGood stays within its bound and says so", async () => {
  await withFolder(async (folder, errors) => {
    const copy = new LastGood({ folder, maxBytes: 100, onError: (e) => errors.push(e) });
    const message = signedCheckpoint([cluster("a")]);
    copy.saveSnapshot(TEST_SCOPE, { subject: "s", message }, "checkpoint");
    await copy.flush();
    assertEquals(errors.length, 1);
    assert((await Array.fromAsync(Deno.readDir(folder))).length === 0);
  });
});

function delta(base: ScopeState, name: string) {
  const change = { set: new Map([cluster(name)]), deleted: [] };
  const tree = base.tree.with(change);
  return signed("delta", {
    schema: SCHEMA,
    lineage: base.lineage,
    scope: base.scope,
    epoch: base.epoch,
    version: base.version + 1,
    baseDigest: base.digest,
    digest: tree.digest,
    previous: base.chain,
    needs: [],
    ...change,
    meta: { changes: [], time: 0 },
  });
}

Deno.test("LastGood writes what a disk did not take once it does, and nothing is missing then", async () => {
  await withFolder(async (folder, errors) => {
    const first = await fill(folder, errors);
    const path = `${folder}/scope-${encodeURIComponent(TEST_SCOPE)}.jsonl`;
    const copy = new LastGood({ folder, onError: (e) => errors.push(e) });
    await copy.load();
    // A folder in its place: the file can be neither opened nor replaced.
    await Deno.rename(path, `${path}.away`);
    await Deno.mkdir(path);
    const one = delta(first, "one");
    copy.saveSnapshot(TEST_SCOPE, { subject: "s", message: one }, "delta");
    await copy.flush();
    const told = errors.length;
    assert(told > 0);
    const second = verifySnapshot(one, first, testContext()).state;
    const two = delta(second, "two");
    await Deno.remove(path);
    // And what a writer that was stopped left of a line.
    await Deno.rename(`${path}.away`, path);
    await Deno.writeTextFile(path, '{"torn', { append: true });
    copy.saveSnapshot(TEST_SCOPE, { subject: "s", message: two }, "delta");
    await copy.flush();
    const { replayed, reasons } = await replay(folder, testKeys(), errors);
    const third = verifySnapshot(two, second, testContext()).state;
    assertEquals(replayed.get(TEST_SCOPE)?.state.digest, third.digest);
    assertEquals([reasons, errors.length], [[], told]);
  });
});
