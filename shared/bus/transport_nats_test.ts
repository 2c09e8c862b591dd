import { assertEquals, assertRejects } from "@std/assert";
import { EPOCH_SUBJECT, scopeFilter, snapshotSubject } from "./subjects.ts";
import { startTestServer } from "./testing.ts";
import { collector, connected, message } from "./testing_messages.ts";
import { BusError } from "./transport.ts";

const SCOPE = "gateway/default/web";

Deno.test("NatsBus: batches are fenced, consumers follow them and outlive a killed server", async (t) => {
  const server = await startTestServer();
  const writer = server.open("controller");
  const reader = server.open("proxy");
  try {
    await Promise.all([connected(writer), connected(reader)]);
    await t.step("ensureStreams() creates what is missing, once", async () => {
      assertEquals((await writer.ensureStreams()).length, 6);
      assertEquals(await writer.ensureStreams(), []);
    });
    const epoch = await writer.publishFenced(message(EPOCH_SUBJECT, "epoch 1"), 0);
    const delta = snapshotSubject(SCOPE, "delta");
    const got = collector();
    const consumption = reader.consume({
      stream: "LGW_CURRENT",
      filter: scopeFilter(SCOPE),
      start: () => ({ from: "all" }),
      onMessage: got.onMessage,
    });
    await t.step(
      "publishBatch() stores all messages and answers with the last sequence",
      async () => {
        const answer = await writer.publishBatch([message(delta, "a"), message(delta, "b")], {
          lastSequence: epoch,
          subject: EPOCH_SUBJECT,
          subjectSequence: epoch,
        });
        assertEquals(answer.sequence, epoch + 2);
        await got.until(2);
        assertEquals(got.texts, ["a", "b"]);
      },
    );
    await writer.publishFenced(message(EPOCH_SUBJECT, "epoch 2"), epoch);
    await t.step("the proxy's user can neither write nor read without a filter", async () => {
      const fence = { lastSequence: 4, subject: EPOCH_SUBJECT, subjectSequence: 4 };
      const error = await assertRejects(
        () => reader.publishBatch([message(delta, "forged")], fence),
        BusError,
      );
      assertEquals(error.kind, "unavailable");
      assertEquals((await writer.info("LGW_CURRENT")).lastSequence, 4);
      const unfiltered = await assertRejects(
        () => reader.last("LGW_FLEET", "lgw.v1.proxy.default.p"),
        BusError,
      );
      assertEquals(unfiltered.kind, "unavailable");
    });
    await t.step(
      "a killed server comes back: memory streams are gone, consumers resume",
      async () => {
        await server.outage.kill();
        await server.outage.start();
        await Promise.all([connected(writer), connected(reader)]);
        assertEquals((await writer.ensureStreams()).sort(), ["LGW_FLEET", "LGW_SECRETS"]);
        const info = await writer.info("LGW_CURRENT");
        await writer.publishBatch([message(delta, "c")], {
          lastSequence: info.lastSequence,
          subject: EPOCH_SUBJECT,
          subjectSequence: 4,
        });
        await got.until(3);
        assertEquals(got.texts, ["a", "b", "c"]);
      },
    );
    await consumption.close();
  } finally {
    await reader.close();
    await writer.close();
    await server.close();
  }
});
