import { assert, assertEquals } from "@std/assert";
import { startTestServer, type TestServer } from "../../shared/bus/testing.ts";
import { EPOCH_SUBJECT, snapshotSubject, valueSubject } from "../../shared/bus/subjects.ts";
import type { BusWriter } from "../../shared/bus/transport.ts";
import { openNatsBus } from "../../shared/bus/transport_nats.ts";
import { createSigner, generateSigningKey, KeySet } from "../../shared/snapshot/keys.ts";
import { snapshotDigest } from "../../shared/snapshot/digest.ts";
import type { EpochPayload } from "../../shared/snapshot/messages.ts";
import { verifyEpoch } from "../../shared/snapshot/verify.ts";
import type { PublisherOptions } from "./options.ts";
import { Publisher } from "./publisher.ts";
import type { PublishResult } from "./result.ts";
import { readScopes } from "./read_back.ts";
import { SAMPLE_SCOPE, sampleContent, sampleDesired } from "./testing.ts";

const KEY = generateSigningKey();

function open(server: TestServer, user = "controller"): BusWriter {
  return openNatsBus({ access: { url: server.url, user, password: server.passwordOf(user) } });
}

function publisherOn(bus: BusWriter, options: Partial<PublisherOptions> = {}): Publisher {
  return new Publisher({
    bus,
    fleet: "default",
    signer: createSigner(KEY.privateKey),
    holder: "test",
    ...options,
  });
}

function published(result: PublishResult): Extract<PublishResult, { kind: "published" }> {
  assert(result.kind === "published", `expected a publish, got ${result.kind}`);
  return result;
}

async function epochOf(bus: BusWriter): Promise<EpochPayload> {
  const message = await bus.last("LGW_CURRENT", EPOCH_SUBJECT);
  assert(message !== undefined);
  return verifyEpoch(message.signed, undefined, { keys: new KeySet([KEY.publicKey]) });
}

async function read(bus: BusWriter) {
  return await readScopes(bus, {
    keys: new KeySet([KEY.publicKey]),
    record: await epochOf(bus),
    features: new Set(),
    onRefused: (subject, error) => {
      throw new Error(`${subject}: ${error.message}`);
    },
  });
}

Deno.test("Publisher: versions, deltas, restart and fence on a real bus", async (t) => {
  const server = await startTestServer();
  const bus = open(server);
  const publisher = publisherOn(bus);
  try {
    await t.step("publish() starts a scope with a checkpoint that verifies", async () => {
      const desired = sampleDesired({ paths: ["/a"] });
      const result = published(await publisher.publish(desired));
      const scope = result.scopes.get(SAMPLE_SCOPE);
      assertEquals(scope?.version, 1);
      assertEquals(scope?.changed, true);
      assertEquals(scope?.changes.map((change) => change.object), [
        "Gateway/default/web",
        "HTTPRoute/default/r0",
        "Service/default/app",
      ]);
      const scopes = await read(bus);
      assertEquals([...scopes.keys()].sort(), ["fleet/default", SAMPLE_SCOPE]);
      assertEquals(scopes.get(SAMPLE_SCOPE)?.state?.digest, scope?.digest);
      assertEquals(
        scope?.digest,
        snapshotDigest(desired.scopes.get(SAMPLE_SCOPE)?.resources ?? new Map()),
      );
      assertEquals(result.failures, []);
    });
    await t.step("publish() of equal content makes no version", async () => {
      const before = (await bus.info("LGW_CURRENT")).lastSequence;
      const result = published(await publisher.publish(sampleDesired({ paths: ["/a"] })));
      assertEquals(result.scopes.get(SAMPLE_SCOPE)?.changed, false);
      assertEquals((await bus.info("LGW_CURRENT")).lastSequence, before);
    });
    await t.step("publish() of a change writes a delta that names its object alone", async () => {
      const result = published(await publisher.publish(sampleDesired({ paths: ["/b"] })));
      const scope = result.scopes.get(SAMPLE_SCOPE);
      assertEquals(scope?.version, 2);
      assertEquals(scope?.changes.map((change) => change.object), ["HTTPRoute/default/r0"]);
      const delta = await bus.last("LGW_CURRENT", snapshotSubject(SAMPLE_SCOPE, "delta"));
      assertEquals(delta?.signed.headers["Lgw-Version"], "2");
      assertEquals((await read(bus)).get(SAMPLE_SCOPE)?.state?.version, 2);
    });
    await t.step("publish() coalesces what comes while one is in flight", async () => {
      const results = await Promise.all(
        ["/c", "/d", "/e", "/f"].map((path) => publisher.publish(sampleDesired({ paths: [path] }))),
      );
      const last = published(results[3] ?? { kind: "closed" }).scopes.get(SAMPLE_SCOPE);
      assert((last?.version ?? 0) <= 4, `version ${last?.version}`);
      assertEquals((await read(bus)).get(SAMPLE_SCOPE)?.state?.digest, last?.digest);
    });
    await t.step(
      "a second publisher takes over; the first is deposed and changes nothing",
      async () => {
        const before = (await read(bus)).get(SAMPLE_SCOPE)?.version ?? 0;
        const otherBus = open(server);
        const other = publisherOn(otherBus, { holder: "other" });
        const result = published(await other.publish(sampleDesired({ paths: ["/other"] })));
        assertEquals(result.epoch, 2);
        assertEquals(result.scopes.get(SAMPLE_SCOPE)?.version, before + 1);
        const late = await publisher.publish(sampleDesired({ paths: ["/stale"] }));
        assertEquals(late.kind, "deposed");
        await publisher.deposed;
        assertEquals((await read(bus)).get(SAMPLE_SCOPE)?.version, before + 1);
        await other.close();
        await otherBus.close();
      },
    );
    await t.step("a restarted publisher goes on from what is on the stream", async (t) => {
      const before = (await read(bus)).get(SAMPLE_SCOPE)?.version ?? 0;
      const again = publisherOn(bus);
      const same = published(await again.publish(sampleDesired({ paths: ["/other"] })));
      assertEquals(same.epoch, 3);
      assertEquals(same.scopes.get(SAMPLE_SCOPE)?.version, before);
      assertEquals(same.scopes.get(SAMPLE_SCOPE)?.changed, false);
      const next = published(await again.publish(sampleDesired({ paths: ["/next"] })));
      assertEquals(next.scopes.get(SAMPLE_SCOPE)?.version, before + 1);
      assertEquals(next.lineage, same.lineage);
      await t.step(
        "a scope that goes leaves a tombstone; its data goes after the grace",
        async () => {
          const gone = published(
            await again.publish({ ...sampleDesired(), scopes: new Map(), binds: new Map() }),
          );
          assertEquals(gone.scopes.size, 0);
          const scopes = await read(bus);
          assertEquals(scopes.get(SAMPLE_SCOPE)?.state?.resources.size, 0);
          const entry = scopes.get("fleet/default")?.state?.resources.get(`scope/${SAMPLE_SCOPE}`);
          assert(entry?.kind === "scope" && entry.tombstone);
          assert(await bus.last("LGW_STATE", valueSubject("bind", SAMPLE_SCOPE)) !== undefined);
          const back = published(await again.publish(sampleDesired({ paths: ["/back"] })));
          assertEquals(back.scopes.get(SAMPLE_SCOPE)?.version, before + 3);
        },
      );
      await again.close();
    });
  } finally {
    await publisher.close();
    await bus.close();
    await server.close();
  }
});

Deno.test("Publisher: a lost stream starts a lineage that names the old one", async () => {
  const server = await startTestServer();
  const bus = open(server);
  const publisher = publisherOn(bus);
  try {
    const first = published(await publisher.publish(sampleDesired({ paths: ["/a"] })));
    await server.wipe("LGW_CURRENT");
    publisher.maintain();
    const second = published(await publisher.publish(sampleDesired({ paths: ["/b"] })));
    assert(second.lineage !== first.lineage);
    assertEquals((await epochOf(bus)).previousLineage, first.lineage);
    assertEquals(second.scopes.get(SAMPLE_SCOPE)?.version, 2);
  } finally {
    await publisher.close();
    await bus.close();
    await server.close();
  }
});

Deno.test("Publisher: a snapshot above the payload limit travels in chunks", async () => {
  const server = await startTestServer();
  const bus = open(server);
  const publisher = publisherOn(bus);
  try {
    // Random text does not deflate.
    const paths = Array.from({ length: 60 }, () => {
      const bytes = crypto.getRandomValues(new Uint8Array(30_000));
      return "/" + Array.from(bytes, (byte) => byte.toString(16)).join("");
    });
    const scopes = new Map([[SAMPLE_SCOPE, sampleContent(paths)]]);
    const result = published(await publisher.publish(sampleDesired({ scopes })));
    const last = await bus.last("LGW_CURRENT", snapshotSubject(SAMPLE_SCOPE, "checkpoint"));
    assert(last?.signed.headers["Lgw-Chunk"]?.endsWith("/2") === true);
    assertEquals(
      (await read(bus)).get(SAMPLE_SCOPE)?.state?.digest,
      result.scopes.get(SAMPLE_SCOPE)?.digest,
    );
  } finally {
    await publisher.close();
    await bus.close();
    await server.close();
  }
});
