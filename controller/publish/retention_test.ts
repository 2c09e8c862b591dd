import { assert, assertEquals } from "@std/assert";
import { randomBytes } from "node:crypto";
import { SNAPSHOT_FILTER, snapshotSubject } from "../../shared/bus/subjects.ts";
import { readAll } from "../../shared/bus/read_all.ts";
import { startTestServer } from "../../shared/bus/testing.ts";
import { openNatsBus } from "../../shared/bus/transport_nats.ts";
import { createSigner, generateSigningKey } from "../../shared/snapshot/keys.ts";
import type { ScopeContent } from "./types.ts";
import { Publisher } from "./publisher.ts";
import { PendingRemovals } from "./removals.ts";
import { SAMPLE_SCOPE, sampleContent, sampleDesired } from "./testing.ts";

/** Content whose checkpoint weighs about `bytes`, deflated. */
function heavy(bytes: number): ScopeContent {
  const random = randomBytes(bytes / 2);
  return sampleContent(["/" + Array.from(random, (b) => b.toString(16).padStart(2, "0")).join("")]);
}

Deno.test("Publisher purges as LGW_CURRENT fills, keeps the history whole, reports what cannot fit", async () => {
  const server = await startTestServer();
  const bus = openNatsBus({
    access: {
      url: server.url,
      user: "controller",
      password: server.passwordOf("controller"),
    },
    limits: { currentBytes: 400_000 },
  });
  const publisher = new Publisher({
    bus,
    fleet: "default",
    signer: createSigner(generateSigningKey().privateKey),
    holder: "test",
  });
  try {
    let version = 0;
    for (let i = 0; i < 12; i++) {
      const scopes = new Map([[SAMPLE_SCOPE, heavy(60_000)]]);
      const result = await publisher.publish(sampleDesired({ scopes }));
      assert(result.kind === "published");
      assertEquals(result.oversize, []);
      version = result.scopes.get(SAMPLE_SCOPE)?.version ?? 0;
    }
    assertEquals(version, 12);
    const info = await bus.info("LGW_CURRENT");
    assert(info.bytes <= 400_000 && info.messages < info.lastSequence, JSON.stringify(info));
    const versions = new Set<string>();
    await readAll(bus, {
      stream: "LGW_HISTORY",
      filter: SNAPSHOT_FILTER,
      onMessage: ({ subject, signed }) => {
        if (subject.includes(".gateway.")) versions.add(signed.headers["Lgw-Version"] ?? "");
      },
    });
    assertEquals(versions.size, 12);
    const scopes = new Map([[SAMPLE_SCOPE, heavy(900_000)]]);
    const result = await publisher.publish(sampleDesired({ scopes }));
    assert(result.kind === "published");
    assertEquals(result.oversize.map(({ scope }) => scope), [SAMPLE_SCOPE]);
    assertEquals(result.scopes.get(SAMPLE_SCOPE)?.version, 12);
    const newest = await bus.last("LGW_CURRENT", snapshotSubject(SAMPLE_SCOPE, "checkpoint"));
    assertEquals(newest?.signed.headers["Lgw-Version"], "12");
  } finally {
    await publisher.close();
    await bus.close();
    await server.close();
  }
});

Deno.test("PendingRemovals waits for every live proxy, or for the grace when there is none", () => {
  const target = { subject: "lgw.v1.endpoints.a.b.1", stream: "LGW_STATE" as const };
  const versions = new Map([["gateway/a/b", 3]]);
  const at = (version: number) => new Map([["gateway/a/b", version]]);
  const pending = new PendingRemovals(100);
  pending.replace([target], { versions, now: 0 });
  assertEquals(pending.due([], 99), []);
  assertEquals(pending.due([at(3), at(2)], 1000), []);
  assertEquals(pending.due([at(3), at(4)], 1000), [target]);
  assertEquals(pending.due([at(3)], 1000), []);
  pending.replace([target], { versions, now: 0 });
  assertEquals(pending.due([], 100), [target]);
  pending.replace([target], { versions, now: 0 });
  pending.replace([], { versions, now: 0 });
  assertEquals(pending.due([at(9)], 1000), []);
});
