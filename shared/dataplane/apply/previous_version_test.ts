/**
 * What the previous version put on the bus is read by this one: every form of message, recorded as
 * its controller sent them, signed with the key of the tests. A new recording replaces the old one
 * when a version is released; nothing in it is ever edited.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { startTestFolder } from "../../bus/testing.ts";
import type { StreamName } from "../../bus/streams.ts";
import type { BusWriter } from "../../bus/transport.ts";
import type { FleetPrivateKey } from "../../secrets/fleet_key.ts";
import { compileTable } from "../table/compile.ts";
import { ApplyLoop } from "./apply_loop.ts";
import { RecordingTarget } from "./testing.ts";

interface Recording {
  publicKey: string;
  fleetKey: FleetPrivateKey;
  messages: {
    stream: StreamName;
    sequence: number;
    subject: string;
    headers: Record<string, string>;
    /** Base64. */
    body: string;
  }[];
}

const SCOPE = "gateway/shop/edge";
const recording: Recording = JSON.parse(
  await Deno.readTextFile(new URL("testdata/previous_version.json", import.meta.url)),
);

/** The recorded streams, as they were. */
async function replay(bus: BusWriter): Promise<void> {
  await bus.ensureStreams();
  for (const { stream, sequence, subject, headers, body } of recording.messages) {
    const signed = { headers, body: new Uint8Array(Buffer.from(body, "base64")) };
    const last = await bus.last(stream, subject);
    assertEquals(await bus.publishFenced({ subject, signed }, last?.sequence ?? 0), sequence);
  }
}

Deno.test("what the previous version published is read whole, and nothing of it is refused", async () => {
  const folder = await startTestFolder();
  const [writer, reader] = [folder.open("controller"), folder.open("proxy")];
  const target = new RecordingTarget();
  const refusals: string[] = [];
  const { publicKey, fleetKey } = recording;
  const loop = new ApplyLoop({
    bus: reader,
    fleet: "standalone",
    proxy: "p1",
    publicKeys: [publicKey],
    fleetKey,
    target,
    hooks: { onRefused: (subject, reason) => refusals.push(`${subject} ${reason}`) },
  });
  try {
    await replay(writer);
    loop.start();
    await loop.whenReady();
    assertEquals(refusals, []);
    const snapshot = target.snapshots.get(SCOPE);
    assert(snapshot !== undefined);
    assertEquals(snapshot.version, 2, "the checkpoint and the delta that follows it");
    assertEquals([...target.endpoints.keys()].sort(), [
      "shop/app/80",
      "shop/app/81",
      "shop/legacy.lightbackend/0",
    ]);
    assertEquals(target.binds.get(SCOPE)?.ports.map(({ port }) => port), [28443, 28480]);
    const certificate = target.certificates.get("cert/shop/cert");
    assert(certificate?.key.startsWith("-----BEGIN PRIVATE KEY-----"));
    const table = compileTable(snapshot);
    assertEquals([...table.ports.keys()].sort(), [28443, 28480]);
    assertEquals([...table.slots], ["cert/shop/cert"]);
  } finally {
    await loop.close();
    await reader.close();
    await writer.close();
    await folder.close();
  }
});
