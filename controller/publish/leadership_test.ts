import { assertEquals } from "@std/assert";
import { startTestServer } from "../../shared/bus/testing.ts";
import { openNatsBus } from "../../shared/bus/transport_nats.ts";
import { createSigner, generateSigningKey, KeySet } from "../../shared/snapshot/keys.ts";
import { raiseEpoch, stillLeading } from "./leadership.ts";

Deno.test("raiseEpoch() counts up in one lineage, whoever races", async () => {
  const server = await startTestServer();
  const bus = openNatsBus({
    access: {
      url: server.url,
      user: "controller",
      password: server.passwordOf("controller"),
    },
  });
  try {
    const connected = Promise.withResolvers<void>();
    bus.onConnected(() => connected.resolve());
    await connected.promise;
    await bus.ensureStreams();
    const key = generateSigningKey();
    const raise = (holder: string) =>
      raiseEpoch(bus, {
        signer: createSigner(key.privateKey),
        keys: new KeySet([key.publicKey]),
        holder,
        now: () => 0,
        newLineage: () => `lineage of ${holder}`,
      });
    const terms = await Promise.all([raise("a"), raise("b"), raise("c")]);
    assertEquals(terms.map((term) => term.record.epoch).sort(), [1, 2, 3]);
    assertEquals(new Set(terms.map((term) => term.record.lineage)).size, 1);
    const leading = await Promise.all(terms.map((term) => stillLeading(bus, term)));
    assertEquals(leading.filter((leads) => leads).length, 1);
    assertEquals(terms[leading.indexOf(true)]?.record.epoch, 3);
  } finally {
    await bus.close();
    await server.close();
  }
});
