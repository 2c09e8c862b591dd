/** What every transport has to do, whatever it is made of. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EPOCH_SUBJECT, scopeFilter, snapshotSubject, valueSubject } from "./subjects.ts";
import { TEST_BUSES } from "./testing.ts";
import { collector, connected, message, textOf } from "./testing_messages.ts";
import { BusError } from "./transport.ts";
import type { BusWriter } from "./transport.ts";

const SCOPE = "gateway/default/web";
const delta = snapshotSubject(SCOPE, "delta");

for (const [name, start] of TEST_BUSES) {
  Deno.test(`${name}: a transport stores, fences, delivers and purges`, async (t) => {
    const bus = await start();
    const writer = bus.open("controller");
    const reader = bus.open("proxy");
    await Promise.all([connected(writer), connected(reader)]);
    try {
      await t.step("without streams, info() and a publish say what is missing", async () => {
        const info = await assertRejects(() => writer.info("LGW_CURRENT"), BusError);
        assertEquals(info.kind, "missing");
      });
      await t.step("ensureStreams() creates what is missing, once", async () => {
        assertEquals((await writer.ensureStreams()).length, 6);
        assertEquals(await writer.ensureStreams(), []);
      });
      const epoch = await writer.publishFenced(message(EPOCH_SUBJECT, "epoch 1"), 0);
      const got = collector();
      const consumption = reader.consume({
        stream: "LGW_CURRENT",
        filter: scopeFilter(SCOPE),
        start: () => ({ from: "all" }),
        onMessage: got.onMessage,
      });
      await t.step("publishBatch() stores all and answers with the last sequence", async () => {
        const answer = await writer.publishBatch([message(delta, "a"), message(delta, "b")], {
          lastSequence: epoch,
          subject: EPOCH_SUBJECT,
          subjectSequence: epoch,
        });
        assertEquals(answer.sequence, epoch + 2);
        await got.until(2);
        assertEquals(got.texts, ["a", "b"]);
      });
      await t.step(
        "publishBatch() is refused when the stream has moved or the epoch is over",
        async () => {
          const stale = { lastSequence: epoch, subject: EPOCH_SUBJECT, subjectSequence: epoch };
          for (
            const messages of [[message(delta, "x")], [message(delta, "x"), message(delta, "y")]]
          ) {
            const error = await assertRejects(() => writer.publishBatch(messages, stale), BusError);
            assertEquals(error.kind, "fence");
          }
          const next = await writer.publishFenced(message(EPOCH_SUBJECT, "epoch 2"), epoch);
          const deposed = { lastSequence: next, subject: EPOCH_SUBJECT, subjectSequence: epoch };
          const error = await assertRejects(
            () => writer.publishBatch([message(delta, "x")], deposed),
            BusError,
          );
          assertEquals(error.kind, "fence");
          const fenced = await assertRejects(
            () => writer.publishFenced(message(EPOCH_SUBJECT, "epoch 2 again"), epoch),
            BusError,
          );
          assertEquals(fenced.kind, "fence");
        },
      );
      await t.step("last() reads the newest message, or nothing", async () => {
        const newest = await reader.last("LGW_CURRENT", EPOCH_SUBJECT);
        assert(newest !== undefined);
        assertEquals(textOf(newest), "epoch 2");
        assertEquals(newest.signed.headers["Lgw-Test"], "epoch 2");
        assertEquals(
          await reader.last("LGW_CURRENT", snapshotSubject("gateway/a/b", "delta")),
          undefined,
        );
      });
      await t.step(
        "last-value data is one message per subject, fenced by its sequence",
        async () => {
          const subject = valueSubject("endpoints", "default/app/80");
          const first = await writer.publishFenced(message(subject, "one"), 0);
          const second = await writer.publishFenced(message(subject, "two"), first);
          const stale = await assertRejects(
            () => writer.publishFenced(message(subject, "three"), first),
            BusError,
          );
          assertEquals(stale.kind, "fence");
          assertEquals((await writer.info("LGW_STATE")).messages, 1);
          const newest = await reader.last("LGW_STATE", subject);
          assertEquals([newest?.sequence, newest && textOf(newest)], [second, "two"]);
        },
      );
      await t.step("streams in memory are delivered too, newest per subject", async () => {
        const secret = valueSubject("secret", "cert/default/web");
        const first = await writer.publishFenced(message(secret, "sealed 1"), 0);
        await writer.publishFenced(message(secret, "sealed 2"), first);
        const received = collector();
        const following = reader.consume({
          stream: "LGW_SECRETS",
          filter: "lgw.v1.secret.>",
          start: () => ({ from: "last_per_subject" }),
          onMessage: received.onMessage,
        });
        await received.until(1);
        assertEquals(received.texts, ["sealed 2"]);
        await following.close();
      });
      await t.step("a heartbeat reaches the controller", async () => {
        const received = collector();
        const following = writer.consume({
          stream: "LGW_FLEET",
          filter: "lgw.v1.proxy.default.*",
          start: () => ({ from: "last_per_subject" }),
          onMessage: received.onMessage,
        });
        reader.send(message("lgw.v1.proxy.default.p1", "alive"));
        await received.until(1);
        assertEquals(received.texts, ["alive"]);
        await following.close();
      });
      await t.step("the history has copies, and purge() takes from the present alone", async () => {
        while ((await writer.info("LGW_HISTORY")).messages < 4) await historyMoves(writer);
        const { lastSequence } = await writer.info("LGW_CURRENT");
        assertEquals(await writer.sourcedUpTo(), lastSequence);
        const before = lastSequence;
        assertEquals(await writer.purge("LGW_CURRENT", { filter: delta, before }), 2);
        const info = await writer.info("LGW_CURRENT");
        assertEquals([info.messages, info.lastSequence], [2, lastSequence]);
        assertEquals((await writer.info("LGW_HISTORY")).messages, 4);
        assertEquals(await writer.purge("LGW_CURRENT", { filter: delta }), 0);
      });
      await t.step("a consumer that starts at a sequence gets what follows it", async () => {
        const { lastSequence } = await writer.info("LGW_CURRENT");
        const late = collector();
        const following = reader.consume({
          stream: "LGW_CURRENT",
          filter: scopeFilter(SCOPE),
          start: () => ({ from: "sequence", sequence: lastSequence + 1 }),
          onMessage: late.onMessage,
        });
        await writer.publishBatch([message(delta, "c")], {
          lastSequence,
          subject: EPOCH_SUBJECT,
          subjectSequence: lastSequence,
        });
        await Promise.all([late.until(1), got.until(3)]);
        assertEquals(late.texts, ["c"]);
        assertEquals(got.texts, ["a", "b", "c"]);
        await following.close();
      });
      await t.step("a stream that is made anew is noticed, and read from its start", async () => {
        const replaced = Promise.withResolvers<void>();
        const again = collector();
        const following = reader.consume({
          stream: "LGW_CURRENT",
          filter: EPOCH_SUBJECT,
          start: () => ({ from: "all" }),
          onMessage: again.onMessage,
          onReplaced: () => replaced.resolve(),
        });
        await again.until(2);
        await bus.wipe("LGW_CURRENT");
        assertEquals(await writer.ensureStreams(), ["LGW_CURRENT"]);
        await writer.publishFenced(message(EPOCH_SUBJECT, "another life"), 0);
        await replaced.promise;
        await again.until(3);
        assertEquals(again.texts.at(-1), "another life");
        await following.close();
      });
      await consumption.close();
    } finally {
      await reader.close();
      await writer.close();
      await bus.close();
    }
  });
}

/** JetStream copies into the history a moment later. */
async function historyMoves(writer: BusWriter): Promise<void> {
  await writer.info("LGW_HISTORY");
  await new Promise((resolve) => setTimeout(resolve, 1));
}
