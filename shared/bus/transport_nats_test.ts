import { assert, assertEquals, assertRejects } from "@std/assert";
import { EPOCH_SUBJECT, scopeFilter, snapshotSubject } from "./subjects.ts";
import { startTestServer, type TestServer } from "./testing.ts";
import { BusError, type BusMessage, type BusWriter, type OutMessage } from "./transport.ts";
import { openNatsBus } from "./transport_nats.ts";

const SCOPE = "gateway/default/web";

function open(server: TestServer, user: string): BusWriter {
  return openNatsBus({ access: { url: server.url, user, password: server.passwordOf(user) } });
}

function connected(bus: BusWriter): Promise<void> {
  return bus.connected ? Promise.resolve() : nextConnect(bus);
}

function nextConnect(bus: BusWriter): Promise<void> {
  return new Promise((resolve) => {
    const remove = bus.onConnected(() => {
      remove();
      resolve();
    });
  });
}

function message(subject: string, text: string): OutMessage {
  return {
    subject,
    signed: { headers: { "Lgw-Test": text }, body: new TextEncoder().encode(text) },
  };
}

function textOf(received: BusMessage): string {
  return new TextDecoder().decode(received.signed.body);
}

/** Collects what a consumer delivers; `until(n)` waits for the n-th message. */
function collector() {
  const texts: string[] = [];
  let wake: (() => void) | undefined;
  return {
    texts,
    onMessage(received: BusMessage) {
      texts.push(textOf(received));
      wake?.();
    },
    async until(count: number) {
      while (texts.length < count) await new Promise<void>((resolve) => wake = resolve);
    },
  };
}

Deno.test("NatsBus: batches are fenced, consumers follow them and outlive a killed server", async (t) => {
  const server = await startTestServer();
  const writer = open(server, "controller");
  const reader = open(server, "proxy");
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
        await server.kill();
        await server.start();
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
