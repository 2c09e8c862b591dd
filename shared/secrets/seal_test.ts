import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fleetKeyId, generateFleetKey, parsePrivateKey, publicHalf } from "./fleet_key.ts";
import { openKey, SealError } from "./open.ts";
import { sealKey } from "./seal.ts";

const PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
const BINDING = { fleet: "default", slot: "cert/default/web", fingerprint: "sha256:ab" };

Deno.test("openKey() gives back what sealKey() sealed", async () => {
  const key = await generateFleetKey();
  const sealed = await sealKey(PEM, { ...BINDING, recipient: publicHalf(key) });
  assert(!sealed.includes("PRIVATE"));
  assertEquals(sealed.split(".").length, 5);
  assertEquals(await openKey(sealed, { ...BINDING, key }), PEM);
});

Deno.test("openKey() refuses another slot, fingerprint, fleet or key, and changed bytes", async () => {
  const key = await generateFleetKey();
  const sealed = await sealKey(PEM, { ...BINDING, recipient: publicHalf(key) });
  const refused = (text: string, options: Partial<Parameters<typeof openKey>[1]>) =>
    assertRejects(() => openKey(text, { ...BINDING, key, ...options }), SealError);
  await refused(sealed, { slot: "cert/default/other" });
  await refused(sealed, { fleet: "other" });
  await refused(sealed, { fingerprint: "sha256:cd" });
  await refused(sealed, { key: await generateFleetKey() });
  for (const at of [3, Math.floor(sealed.length / 2), sealed.length - 2]) {
    const flipped = sealed.slice(0, at) + (sealed[at] === "A" ? "B" : "A") + sealed.slice(at + 1);
    await refused(flipped, {});
  }
});

Deno.test("parsePrivateKey() takes what generateFleetKey() made and refuses the rest", async () => {
  const key = await generateFleetKey();
  assertEquals(parsePrivateKey(JSON.parse(JSON.stringify(key))), key);
  assertEquals(await fleetKeyId(key), await fleetKeyId(publicHalf(key)));
  for (const bad of [null, {}, publicHalf(key), { ...key, crv: "P-256" }, { ...key, d: "x" }]) {
    assertThrows(() => parsePrivateKey(bad), TypeError);
  }
});
