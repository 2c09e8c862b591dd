import { assert, assertEquals } from "@std/assert";
import { startTestServer } from "../../shared/bus/testing.ts";
import { valueSubject } from "../../shared/bus/subjects.ts";
import { openNatsBus } from "../../shared/bus/transport_nats.ts";
import { createSigner, generateSigningKey, KeySet } from "../../shared/snapshot/keys.ts";
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import type { EndpointSet } from "../../shared/snapshot/schema.ts";
import { raiseEpoch } from "./leadership.ts";
import { sampleDesired } from "./testing.ts";
import { ValueWriter } from "./value_writer.ts";

function endpoints(port: number, count = 1): EndpointSet {
  return {
    kind: "endpoints",
    endpoints: Array.from({ length: count }, (_, index) => ({
      address: `10.0.${index >> 8}.${index & 255}`,
      port,
      ready: true,
      serving: true,
      terminating: false,
      // Does not compress.
      node: `${crypto.randomUUID()}${crypto.randomUUID()}`,
    })),
  };
}

Deno.test("ValueWriter.write() writes what is different, tries again what failed, and names what nobody wants", async () => {
  const server = await startTestServer();
  const access = {
    url: server.url,
    user: "controller",
    password: server.passwordOf("controller"),
  };
  const bus = openNatsBus({ access });
  const signer = createSigner(generateSigningKey().privateKey);
  const keys = new KeySet([signer.publicKey]);
  try {
    if (!bus.connected) {
      await new Promise<void>((resolve) => {
        const stop = bus.onConnected(() => {
          stop();
          resolve();
        });
      });
    }
    await bus.ensureStreams();
    const term = await raiseEpoch(bus, {
      signer,
      keys,
      holder: "test",
      now: () => 0,
      newLineage: () => "l1",
    });
    const readBack = {
      keys,
      record: term.record,
      features: new Set<string>(),
      onRefused: (subject: string, error: Error) => {
        throw new Error(`${subject}: ${error.message}`);
      },
    };
    const { binds, certificates, trust } = sampleDesired();
    let sets = ResourceMap.from([["default/a/80", endpoints(1)], ["default/b/80", endpoints(1)]]);
    const open = async () => {
      const writer = new ValueWriter({ bus, signer, fleet: "default", now: () => 0 });
      await writer.load(readBack);
      return writer;
    };
    let writer = await open();
    const write = async (endpoints = sets) => {
      const { written, failures } = await writer.write(
        { endpoints, binds, certificates, trust },
        { term, readBack },
      );
      return [written, failures.length];
    };
    const surplus = () => [...writer.surplus].map(({ subject }) => subject);
    assertEquals(await write(), [3, 0], "two endpoint sets and a bind map");
    assertEquals(await write(), [0, 0]);
    sets = sets.with([["default/a/80", endpoints(2)]], []);
    assertEquals(await write(), [1, 0]);
    assertEquals(await write(ResourceMap.from(sets)), [0, 0], "other objects of equal content");
    const tooLarge = sets.with([["default/b/80", endpoints(1, 40_000)]], []);
    assertEquals(await write(tooLarge), [0, 1]);
    assertEquals(await write(tooLarge), [0, 1], "it is tried again though nothing is new");
    assertEquals(await write(), [0, 0], "what is on the bus is wanted again");
    sets = sets.with([], ["default/a/80"]);
    assertEquals(await write(), [0, 0]);
    const gone = valueSubject("endpoints", "default/a/80");
    assertEquals(surplus(), [gone]);
    writer = await open();
    assertEquals(await write(), [0, 0]);
    assertEquals(surplus(), [gone], "also for who finds it there");
    for (const target of [...writer.surplus]) await writer.remove(target);
    assertEquals(surplus(), []);
    assert(await bus.last("LGW_STATE", gone) === undefined);
  } finally {
    await bus.close();
    await server.close();
  }
});
