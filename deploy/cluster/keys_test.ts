import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { busConfig, generateKeys, nkeyOfSeed, secretManifests } from "./keys.ts";

Deno.test("generateKeys() gives each part what it needs, and nobody the rest", async () => {
  const keys = await generateKeys({ namespace: "ns", fleet: "default", now: new Date(0) });
  assertEquals(Object.keys(keys["proxy-keys"]).sort(), [
    "bus-ca.crt",
    "bus.seed",
    "fleet.key.json",
    "signing.pub",
  ]);
  assertEquals("signing.key" in keys["reader-keys"], false);
  // The bus knows public keys alone.
  const config = keys["bus-server"]["nats.conf"] ?? "";
  for (const part of ["controller-keys", "proxy-keys", "reader-keys"] as const) {
    const seed = keys[part]["bus.seed"] ?? "";
    assertEquals(config.includes(seed), false);
    assertEquals(config.includes(nkeyOfSeed(seed)), true);
  }
  const again = busConfig({
    fleet: "default",
    nkeys: {
      controller: nkeyOfSeed(keys["controller-keys"]["bus.seed"] ?? ""),
      proxy: nkeyOfSeed(keys["proxy-keys"]["bus.seed"] ?? ""),
      reader: nkeyOfSeed(keys["reader-keys"]["bus.seed"] ?? ""),
    },
  });
  assertEquals(again, config);
});

Deno.test("secretManifests() is a List that the API server takes", async () => {
  const keys = await generateKeys({ namespace: "ns", fleet: "default", now: new Date(0) });
  const list = JSON.parse(secretManifests(keys, "ns"));
  assertEquals(list.items.length, 4);
  for (const item of list.items) {
    assertEquals([item.kind, item.metadata.namespace], ["Secret", "ns"]);
    for (const value of Object.values(item.data)) assertMatch(String(value), /^[A-Za-z0-9+/]+=*$/);
  }
});

Deno.test("nkeyOfSeed() repeats nothing of what is no seed", () => {
  const error = assertThrows(() => nkeyOfSeed("SUSECRET"), TypeError);
  assertEquals(error.message.includes("SUSECRET"), false);
});
