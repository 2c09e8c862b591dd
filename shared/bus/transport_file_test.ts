import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { decodeFrames, messagesFrame, purgeFrame } from "./file/frames.ts";
import type { StoredMessage } from "./file/frames.ts";
import { matchesFilter } from "./file/subject_filter.ts";
import type { StreamLimits } from "./streams.ts";
import { EPOCH_SUBJECT, snapshotSubject, valueSubject } from "./subjects.ts";
import { collector, message, textOf } from "./testing_messages.ts";
import { BusError } from "./transport.ts";
import type { BusWriter, OutMessage } from "./transport.ts";
import { hubSocket, openFileBus } from "./transport_file.ts";

const DELTA = snapshotSubject("gateway/default/web", "delta");
const ENDPOINTS = valueSubject("endpoints", "default/app/80");

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-bus-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Opens a bus, with streams, for the time of a test. */
async function withBus<T>(
  folder: string,
  use: (bus: BusWriter) => Promise<T>,
  limits: StreamLimits = {},
): Promise<T> {
  const bus = openFileBus({ folder, limits });
  try {
    await bus.ensureStreams();
    return await use(bus);
  } finally {
    await bus.close();
  }
}

const big = (subject: string, size: number): OutMessage => ({
  subject,
  signed: { headers: {}, body: new Uint8Array(size).fill(65) },
});

async function publish(bus: BusWriter, messages: readonly OutMessage[]): Promise<number> {
  const { lastSequence } = await bus.info("LGW_CURRENT");
  const epoch = await bus.last("LGW_CURRENT", EPOCH_SUBJECT);
  const { sequence } = await bus.publishBatch(messages, {
    lastSequence,
    subject: EPOCH_SUBJECT,
    subjectSequence: epoch?.sequence ?? 0,
  });
  return sequence;
}

async function segments(folder: string, stream: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(`${folder}/${stream}`)) {
    if (name.endsWith(".seg")) names.push(name);
  }
  return names.sort();
}

Deno.test("FileBus: what was stored is there after a restart, with its sequences", () =>
  withFolder(async (folder) => {
    await withBus(folder, async (bus) => {
      await bus.publishFenced(message(EPOCH_SUBJECT, "epoch 1"), 0);
      await publish(bus, [message(DELTA, "a"), message(DELTA, "b")]);
      await bus.purge("LGW_CURRENT", { filter: DELTA, before: 3 });
    });
    await withBus(folder, async (bus) => {
      const newest = await bus.last("LGW_CURRENT", DELTA);
      assertEquals([newest?.sequence, newest && textOf(newest)], [3, "b"]);
      const { messages, lastSequence, identity } = await bus.info("LGW_CURRENT");
      assertEquals([messages, lastSequence], [2, 3]);
      assertEquals((await bus.info("LGW_HISTORY")).messages, 3);
      assertEquals(await publish(bus, [message(DELTA, "c")]), 4);
      assertEquals((await bus.info("LGW_CURRENT")).identity, identity);
    });
  }));

Deno.test("FileBus: a batch whose writer was killed in the middle is not there", () =>
  withFolder(async (folder) => {
    await withBus(folder, (bus) => publish(bus, [message(DELTA, "a")]));
    const [name] = await segments(folder, "LGW_CURRENT");
    const path = `${folder}/LGW_CURRENT/${name}`;
    const whole = await Deno.readFile(path);
    // As it lies on the disk when only a part of the next frame was written.
    const torn = messagesFrame([
      { sequence: 2, time: 1, subject: DELTA, signed: message(DELTA, "lost").signed },
    ]);
    for (const length of [1, 9, torn.length - 1]) {
      const bytes = new Uint8Array(whole.length + length);
      bytes.set(whole);
      bytes.set(torn.subarray(0, length), whole.length);
      await Deno.writeFile(path, bytes);
      await withBus(folder, async (bus) => {
        assertEquals((await bus.info("LGW_CURRENT")).lastSequence, 1);
      });
    }
    await withBus(folder, (bus) => publish(bus, [message(DELTA, "b")]));
    await withBus(folder, async (bus) => {
      const newest = await bus.last("LGW_CURRENT", DELTA);
      assertEquals([newest?.sequence, newest && textOf(newest)], [2, "b"]);
    });
  }));

Deno.test("FileBus: two writers never store behind each other's back", () =>
  withFolder((folder) =>
    withBus(folder, (one) =>
      withBus(folder, async (two) => {
        const epoch = await one.publishFenced(message(EPOCH_SUBJECT, "epoch 1"), 0);
        const fence = { lastSequence: epoch, subject: EPOCH_SUBJECT, subjectSequence: epoch };
        await two.publishBatch([message(DELTA, "of two")], fence);
        const stale = await assertRejects(
          () => one.publishBatch([message(DELTA, "of one")], fence),
          BusError,
        );
        assertEquals(stale.kind, "fence");
        assertEquals((await one.info("LGW_CURRENT")).lastSequence, 2);
      }))
  ));

Deno.test("FileBus: a full stream refuses and keeps what it has; the history drops its oldest", () =>
  withFolder((folder) => {
    const size = 1024 * 1024;
    const limits = { currentBytes: 8 * size, historyBytes: 12 * size };
    return withBus(folder, async (bus) => {
      for (let i = 0; i < 7; i++) await publish(bus, [big(DELTA, size)]);
      const full = await assertRejects(() => publish(bus, [big(DELTA, 2 * size)]), BusError);
      assertEquals(full.kind, "full");
      assertEquals((await bus.info("LGW_CURRENT")).messages, 7);
      for (let i = 0; i < 3; i++) {
        await bus.purge("LGW_CURRENT", { filter: DELTA });
        for (let j = 0; j < 6; j++) await publish(bus, [big(DELTA, size)]);
      }
      const history = await bus.info("LGW_HISTORY");
      assert(history.bytes <= limits.historyBytes, `${history.bytes}`);
      assert(history.firstSequence > 1);
      assertEquals(await bus.sourcedUpTo(), (await bus.info("LGW_CURRENT")).lastSequence);
    }, limits);
  }));

Deno.test("FileBus: values that were replaced do not fill the disk, and readers follow", () =>
  withFolder((folder) =>
    withBus(folder, async (writer) => {
      const reader = openFileBus({ folder });
      const got = collector();
      const consumption = reader.consume({
        stream: "LGW_STATE",
        filter: "lgw.v1.endpoints.>",
        start: () => ({ from: "last_per_subject" }),
        onMessage: (received) => got.onMessage({ ...received, signed: short(received) }),
      });
      let sequence = 0;
      for (let i = 0; i < 40; i++) {
        sequence = await writer.publishFenced(big(ENDPOINTS, 1024 * 1024), sequence);
      }
      await writer.publishFenced(message(ENDPOINTS, "the last"), sequence);
      while (got.texts.at(-1) !== "the last") await got.until(got.texts.length + 1);
      let bytes = 0;
      for (const name of await segments(folder, "LGW_STATE")) {
        bytes += (await Deno.stat(`${folder}/LGW_STATE/${name}`)).size;
      }
      assert(bytes < 10 * 1024 * 1024, `${bytes} bytes for one value`);
      await consumption.close();
      await reader.close();
    })
  ));

function short({ signed }: { signed: OutMessage["signed"] }): OutMessage["signed"] {
  return { ...signed, body: signed.body.subarray(0, 16) };
}

Deno.test("FileBus: secrets and heartbeats never lie in the folder", () =>
  withFolder((folder) =>
    withBus(folder, async (writer) => {
      await writer.publishFenced(
        message(valueSubject("secret", "cert/default/web"), "do not write"),
        0,
      );
      writer.send(message("lgw.v1.proxy.default.p1", "do not write either"));
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        if (!isDirectory) continue;
        for await (const file of Deno.readDir(`${folder}/${name}`)) {
          const text = await Deno.readTextFile(`${folder}/${name}/${file.name}`);
          assert(!text.includes("do not write"), `${name}/${file.name}`);
        }
      }
      assertEquals((await Deno.stat(`${folder}/lock`)).mode! & 0o077, 0);
    })
  ));

Deno.test("FileBus: when the writer ends, its memory streams begin a new life with the next", () =>
  withFolder(async (folder) => {
    const secret = valueSubject("secret", "cert/default/web");
    const reader = openFileBus({ folder });
    const got = collector();
    const replaced = Promise.withResolvers<void>();
    const consumption = reader.consume({
      stream: "LGW_SECRETS",
      filter: "lgw.v1.secret.>",
      start: () => ({ from: "last_per_subject" }),
      onMessage: got.onMessage,
      onReplaced: () => replaced.resolve(),
    });
    await withBus(folder, async (bus) => {
      await bus.publishFenced(message(secret, "first life"), 0);
      await got.until(1);
    });
    await withBus(folder, async (bus) => {
      assertEquals((await bus.info("LGW_SECRETS")).messages, 0);
      await bus.publishFenced(message(secret, "second life"), 0);
      await got.until(2);
    });
    await replaced.promise;
    assertEquals(got.texts, ["first life", "second life"]);
    await consumption.close();
    await reader.close();
  }));

Deno.test("FileBus: the hub takes heartbeats from followers and nothing else", () =>
  withFolder((folder) =>
    withBus(folder, async (bus) => {
      for (
        const bytes of [
          hubBytes({ kind: "send", subject: valueSubject("secret", "cert/a/b"), headers: {} }),
          hubBytes({ kind: "purge", stream: "LGW_SECRETS", purge: { filter: ">", before: 9 } }),
          hubBytes({ kind: "follow", stream: "LGW_CURRENT" }),
          new Uint8Array([255, 255, 255, 255, 0, 0, 0, 0]),
        ]
      ) {
        const connection = await Deno.connect({ transport: "unix", path: hubSocket(folder) });
        await connection.write(bytes);
        assertEquals(await connection.read(new Uint8Array(16)), null);
        connection.close();
      }
      assertEquals((await bus.info("LGW_SECRETS")).messages, 0);
    })
  ));

function hubBytes(head: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const bytes = new Uint8Array(8 + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4 + text.length);
  view.setUint32(4, text.length);
  bytes.set(text, 8);
  return bytes;
}

const stored = fc.record({
  sequence: fc.nat(),
  time: fc.nat(),
  subject: fc.string(),
  signed: fc.record({
    headers: fc.dictionary(fc.string(), fc.string()),
    body: fc.uint8Array({ maxLength: 64 }),
  }),
});

Deno.test("decodeFrames() gives back whole frames and stops at the first that is not", () => {
  fc.assert(fc.property(
    fc.array(fc.array(stored, { minLength: 1, maxLength: 3 }), { maxLength: 4 }),
    fc.nat(),
    (batches, cut) => {
      const frames = batches.map((batch) => messagesFrame(batch as StoredMessage[]));
      frames.push(purgeFrame({ filter: "a.>", before: 7 }));
      const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
      let at = 0;
      const ends = frames.map((frame) => {
        bytes.set(frame, at);
        return at += frame.length;
      });
      assertEquals(decodeFrames(bytes).frames.length, frames.length);
      const length = cut % (bytes.length + 1);
      const part = decodeFrames(bytes.subarray(0, length));
      assertEquals(part.frames.length, ends.filter((end) => end <= length).length);
      const flipped = bytes.slice();
      flipped[length % bytes.length] = (flipped[length % bytes.length] ?? 0) ^ 1;
      const whole = ends.filter((end) => end <= length % bytes.length).length;
      assertEquals(decodeFrames(flipped).frames.length, whole);
    },
  ));
});

Deno.test("matchesFilter() reads * as one token and a last > as the rest", () => {
  const cases: [string, string, boolean][] = [
    ["a.b", "a.b", true],
    ["a.*", "a.b", true],
    ["a.*", "a.b.c", false],
    ["a.>", "a.b.c", true],
    ["a.>", "a", false],
    [">", "a", true],
    ["a.b", "a.b.c", false],
    ["a.*.c", "a.b.c", true],
  ];
  for (const [filter, subject, wanted] of cases) {
    assertEquals(matchesFilter(filter, subject), wanted, `${filter} ${subject}`);
  }
});
