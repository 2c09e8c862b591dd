import { assert, assertEquals } from "@std/assert";
import { startTestServer, TEST_BUSES } from "../../shared/bus/testing.ts";
import type { TestBus } from "../../shared/bus/testing.ts";
import { snapshotSubject, valueSubject } from "../../shared/bus/subjects.ts";
import type { OutMessage } from "../../shared/bus/transport.ts";
import { LastGood } from "../../shared/dataplane/apply/last_good.ts";
import { gatewayScope } from "../../shared/snapshot/ids.ts";
import { generateFleetKey } from "../../shared/secrets/fleet_key.ts";
import type { PublishResult } from "./result.ts";
import { SAMPLE_SCOPE, sampleContent, sampleDesired } from "./testing.ts";
import { CERTIFICATE, startController, TestProxy } from "./testing_stack.ts";

function published(result: PublishResult): Extract<PublishResult, { kind: "published" }> {
  assert(result.kind === "published", `expected a publish, got ${result.kind}`);
  return result;
}

/** Many routes: a delta among few brings a checkpoint, after which the delta is taken away. */
const OTHERS = Array.from({ length: 40 }, (_, index) => `/${index}`);

/** A test that every kind of bus must pass. */
function test(
  name: string,
  body: (start: () => Promise<TestBus>, t: Deno.TestContext) => Promise<void>,
): void {
  for (const [bus, start] of TEST_BUSES) Deno.test(`${bus}: ${name}`, (t) => body(start, t));
}

test(
  "a change travels from publisher to data plane and its acknowledgement back",
  async (start, t) => {
    const server = await start();
    const fleetKey = await generateFleetKey();
    const controller = startController(server, fleetKey);
    const proxy = new TestProxy(server, { fleetKey });
    const { publisher, acks, acked } = controller;
    let lineage = "";
    try {
      await t.step(
        "version 1 serves with endpoints, binds and the opened certificate",
        async () => {
          const desired = sampleDesired({ paths: ["/a", ...OTHERS], certificates: [CERTIFICATE] });
          lineage = published(await publisher.publish(desired)).lineage;
          await proxy.serves(1);
          await proxy.loop.whenReady();
          assertEquals([...proxy.target.endpoints.keys()], ["default/app/80"]);
          assertEquals(proxy.target.binds.get(SAMPLE_SCOPE)?.ports, [{
            port: 80,
            fleetPort: 8080,
          }]);
          const certificate = proxy.target.certificates.get(CERTIFICATE.slot);
          assertEquals(certificate?.key, CERTIFICATE.key.reveal());
          assertEquals(proxy.refusals, []);
        },
      );
      await t.step("a delta hands over only what changed", async () => {
        await publisher.publish(
          sampleDesired({ paths: ["/b", ...OTHERS], certificates: [CERTIFICATE] }),
        );
        await proxy.serves(2);
        const changed = proxy.target.snapshots.get(SAMPLE_SCOPE)?.changed;
        assertEquals([...(changed ?? [])], ["httproute/default/r0"]);
      });
      await t.step("the heartbeat acknowledges the version", async () => {
        await acked.until(() => acks.of(SAMPLE_SCOPE, { lineage, version: 2 }).acknowledged === 1);
        const ack = acks.proxies().get("p1")?.scopes.get(SAMPLE_SCOPE);
        assertEquals(ack?.degraded, false);
        assertEquals(ack?.digest, proxy.target.snapshots.get(SAMPLE_SCOPE)?.digest);
      });
      await t.step("endpoints change without a version", async () => {
        const next = sampleDesired({
          paths: ["/b", ...OTHERS],
          certificates: [CERTIFICATE],
          endpointPort: 9001,
        });
        await publisher.publish(next);
        await proxy.signal.until(() =>
          proxy.target.endpoints.get("default/app/80")?.endpoints[0]?.port === 9001
        );
        assertEquals(proxy.version(), 2);
      });
      await t.step("a second proxy starts from the newest checkpoint", async () => {
        const late = new TestProxy(server, { fleetKey, proxy: "p2" });
        await late.loop.whenReady();
        assertEquals(late.version(), 2);
        assertEquals(late.target.swaps, [`${SAMPLE_SCOPE}@2`]);
        await late.close();
      });
      const { outage } = server;
      // A folder is never away; what happens when its writer ends is in transport_file_test.ts.
      await t.step("a killed bus comes back, secrets are refilled, versions go on", async () => {
        await outage?.kill();
        await outage?.start();
        const paths = ["/c", ...OTHERS];
        await publisher.publish(sampleDesired({ paths, certificates: [CERTIFICATE] }));
        await proxy.serves(3);
        const fresh = new TestProxy(server, { fleetKey, proxy: "p3" });
        await fresh.loop.whenReady();
        await fresh.signal.until(() => fresh.target.certificates.size === 1);
        await fresh.close();
        assertEquals(proxy.refusals, []);
      });
      await t.step("a scope that goes is dropped with its data", async () => {
        await publisher.publish({
          scopes: new Map(),
          endpoints: new Map(),
          certificates: new Map(),
          trust: new Map(),
          binds: new Map(),
        });
        await proxy.signal.until(() => proxy.target.snapshots.size === 0);
        assertEquals(proxy.target.endpoints.size, 0);
        assertEquals(proxy.target.binds.size, 0);
      });
    } finally {
      await proxy.close();
      await controller.close();
      await server.close();
    }
  },
);

test(
  "what does not verify on the bus is refused and the last good keeps serving",
  async (start, t) => {
    const server = await start();
    const controller = startController(server);
    const proxy = new TestProxy(server);
    const { publisher, bus } = controller;
    const delta = snapshotSubject(SAMPLE_SCOPE, "delta");
    const checkpoint = snapshotSubject(SAMPLE_SCOPE, "checkpoint");
    const newest = async (subject: string) => {
      const message = await bus.last("LGW_CURRENT", subject);
      assert(message !== undefined);
      return message.signed;
    };
    /** Puts a message onto the stream past the publisher and waits for its refusal. */
    const refused = async (message: OutMessage, reason: string) => {
      const before = proxy.refusals.length;
      const { headers } = message.signed;
      const plain = Object.fromEntries(
        Object.entries(headers).filter(([name]) => name !== "Lgw-First"),
      );
      bus.send({ ...message, signed: { ...message.signed, headers: plain } });
      await proxy.signal.until(() => proxy.refusals.length > before);
      assertEquals(proxy.refusals.slice(before), [reason]);
    };
    try {
      await publisher.publish(sampleDesired({ paths: ["/a", ...OTHERS] }));
      await publisher.publish(sampleDesired({ paths: ["/b", ...OTHERS] }));
      await proxy.serves(2);
      const served = proxy.target.snapshots.get(SAMPLE_SCOPE);
      const good = await newest(delta);
      await t.step("a flipped byte", async () => {
        const body = good.body.slice();
        body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
        await refused({ subject: delta, signed: { ...good, body } }, "signature");
      });
      await t.step("an old version", async () => {
        await refused({ subject: delta, signed: good }, "version");
      });
      await t.step("another scope's message", async () => {
        const foreign = await newest(snapshotSubject("fleet/default", "checkpoint"));
        await refused({ subject: checkpoint, signed: foreign }, "scope");
      });
      await t.step("an unknown key", async () => {
        const headers = { ...good.headers, "Lgw-Key-Id": "0123456789abcdef" };
        await refused({ subject: delta, signed: { ...good, headers } }, "key");
      });
      await t.step("a missing chunk", async () => {
        const headers = { ...good.headers, "Lgw-Chunk": "2/2", "Lgw-Whole": "sha256:00" };
        await refused({ subject: delta, signed: { ...good, headers } }, "chunk");
      });
      await t.step("last-value data under another key's subject", async () => {
        const set = await bus.last("LGW_STATE", valueSubject("endpoints", "default/app/80"));
        assert(set !== undefined);
        const subject = valueSubject("endpoints", "default/other/80");
        await refused({ subject, signed: set.signed }, "scope");
      });
      await t.step("what the data plane cannot compile", async () => {
        proxy.target.problem = "no such thing";
        await publisher.publish(sampleDesired({ paths: ["/c", ...OTHERS] }));
        await proxy.signal.until(() => proxy.refusals.at(-1) === "compile");
        proxy.target.problem = "";
      });
      assertEquals(proxy.target.snapshots.get(SAMPLE_SCOPE), served);
      await t.step("the next good version serves, whatever stood before it", async () => {
        const result = published(
          await publisher.publish(sampleDesired({ paths: ["/d", ...OTHERS] })),
        );
        const version = result.scopes.get(SAMPLE_SCOPE)?.version ?? 0;
        await proxy.serves(version);
        assertEquals(
          proxy.target.snapshots.get(SAMPLE_SCOPE)?.digest,
          result.scopes.get(SAMPLE_SCOPE)?.digest,
        );
      });
      await t.step("a stale leader", async () => {
        const stale = startController(server);
        await stale.publisher.publish(sampleDesired({ paths: ["/e", ...OTHERS] }));
        const old = await newest(checkpoint);
        const next = startController(server);
        const result = published(
          await next.publisher.publish(sampleDesired({ paths: ["/f", ...OTHERS] })),
        );
        await proxy.serves(result.scopes.get(SAMPLE_SCOPE)?.version ?? 0);
        await refused({ subject: checkpoint, signed: old }, "epoch");
        await stale.close();
        await next.close();
      });
    } finally {
      await proxy.close();
      await controller.close();
      await server.close();
    }
  },
);

test("a swap whose data does not come in time serves anyway and says so", async (start) => {
  const server = await start();
  const controller = startController(server, await generateFleetKey());
  // Another fleet's key: the certificate never opens here.
  const proxy = new TestProxy(server, { needsTimeout: 1, fleetKey: await generateFleetKey() });
  const { publisher, acks, acked } = controller;
  try {
    const result = published(
      await publisher.publish(sampleDesired({ certificates: [CERTIFICATE] })),
    );
    await proxy.serves(1);
    const at = { lineage: result.lineage, version: 1 };
    await acked.until(() => acks.of(SAMPLE_SCOPE, at).degraded === 1);
    assert(proxy.refusals.includes("key"));
    assertEquals(proxy.target.certificates.size, 0);
  } finally {
    await proxy.close();
    await controller.close();
    await server.close();
  }
});

test("a lost stream starts a linked lineage, and running proxies follow it", async (start) => {
  const server = await start();
  const controller = startController(server);
  const proxy = new TestProxy(server);
  try {
    const desired = sampleDesired({ paths: ["/a", ...OTHERS] });
    const first = published(await controller.publisher.publish(desired));
    await proxy.serves(1);
    await server.wipe("LGW_CURRENT");
    controller.publisher.maintain();
    const second = published(await controller.publisher.publish(desired));
    assert(second.lineage !== first.lineage);
    await proxy.serves(2);
    assertEquals(proxy.target.snapshots.get(SAMPLE_SCOPE)?.lineage, second.lineage);
  } finally {
    await proxy.close();
    await controller.close();
    await server.close();
  }
});

test("a proxy that lost its chain of deltas gets a checkpoint", async (start) => {
  const server = await start();
  const controller = startController(server);
  const { publisher, bus, acks, acked } = controller;
  // Many routes, so that a delta does not bring a checkpoint of its own.
  const paths = Array.from({ length: 40 }, (_, index) => `/${index}`);
  const change = (path: string) => sampleDesired({ paths: [path, ...paths] });
  await publisher.publish(change("/a"));
  await publisher.publish(change("/b"));
  const delta = snapshotSubject(SAMPLE_SCOPE, "delta");
  const stored = await bus.last("LGW_CURRENT", delta);
  assert(stored !== undefined);
  // The delta of version 2 is taken away before the proxy has seen it.
  await bus.purge("LGW_CURRENT", { filter: delta });
  const proxy = new TestProxy(server);
  try {
    await proxy.serves(1);
    await publisher.publish(change("/c"));
    await acked.until(() => acks.brokenScopes().has(SAMPLE_SCOPE));
    publisher.maintain();
    await proxy.serves(3);
    assertEquals(proxy.refusals, ["version"]);
  } finally {
    await proxy.close();
    await controller.close();
    await server.close();
  }
});

Deno.test("a proxy starts from its local copy while the bus is away, and catches up", async () => {
  const server = await startTestServer();
  const folder = await Deno.makeTempDir({ prefix: "lgw-copy-" });
  const copy = () =>
    new LastGood({
      folder,
      onError: (error) => {
        throw error;
      },
    });
  const fleetKey = await generateFleetKey();
  const controller = startController(server, fleetKey);
  try {
    const desired = sampleDesired({ paths: ["/a", "/b", "/c"], certificates: [CERTIFICATE] });
    await controller.publisher.publish(desired);
    const first = new TestProxy(server, { lastGood: copy(), fleetKey });
    await first.loop.whenReady();
    await controller.publisher.publish(sampleDesired({ paths: ["/z", "/b", "/c"] }));
    await first.serves(2);
    await first.close();
    for await (const entry of Deno.readDir(folder)) {
      const text = await Deno.readTextFile(`${folder}/${entry.name}`);
      assert(!text.includes("secret") && !text.includes("PRIVATE"), entry.name);
    }
    await server.outage.kill();
    const second = new TestProxy(server, { lastGood: copy(), fleetKey, lastGoodAfter: 1 });
    await second.serves(2);
    await second.loop.whenReady();
    assertEquals(second.target.endpoints.size, 1);
    assertEquals(second.target.binds.size, 1);
    assertEquals(second.target.certificates.size, 0);
    await server.outage.start();
    await controller.publisher.publish(sampleDesired({ paths: ["/y", "/b", "/c"] }));
    await second.serves(3);
    assertEquals(second.refusals, []);
    await second.close();
  } finally {
    await controller.close();
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
});

test("a snapshot that is larger than a message is applied when its last chunk came", async (start) => {
  const server = await start();
  const controller = startController(server);
  const proxy = new TestProxy(server);
  try {
    // Random text deflates little. At this size a server asks for flow control behind the last one.
    const paths = Array.from(
      { length: 24 },
      () => "/" + crypto.getRandomValues(new Uint8Array(60_000)).toHex(),
    );
    published(await controller.publisher.publish(sampleDesired({ paths: ["/a", ...paths] })));
    await proxy.serves(1);
    published(await controller.publisher.publish(sampleDesired({ paths: ["/b", ...paths] })));
    await proxy.serves(2);
    assertEquals(proxy.refusals, []);
  } finally {
    await proxy.close();
    await controller.close();
    await server.close();
  }
});

test("a Gateway with the longest name that there is reaches the proxies", async (start) => {
  const server = await start();
  const controller = startController(server);
  const proxy = new TestProxy(server);
  try {
    const scope = gatewayScope("n".repeat(63), "g".repeat(253));
    const desired = sampleDesired({ scopes: new Map([[scope, sampleContent(["/"])]]) });
    const bind = desired.binds.get(SAMPLE_SCOPE);
    assert(bind !== undefined);
    published(
      await controller.publisher.publish({ ...desired, binds: new Map([[scope, bind]]) }),
    );
    await proxy.loop.whenReady();
    assertEquals(proxy.target.snapshots.get(scope)?.version, 1);
    assertEquals(proxy.target.binds.get(scope), bind);
    assertEquals(proxy.refusals, []);
  } finally {
    await proxy.close();
    await controller.close();
    await server.close();
  }
});
