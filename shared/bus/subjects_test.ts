import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { permissionsFor } from "./permissions.ts";
import {
  keyToTokens,
  proxyOfSubject,
  proxySubject,
  scopeOfSubject,
  snapshotSubject,
  tokensToKey,
  valueOfSubject,
  valueSubject,
} from "./subjects.ts";

Deno.test("keyToTokens() is reversible for every legal name", () => {
  const part = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?$/);
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
    const key = parts.join("/");
    const tokens = keyToTokens(key);
    assertEquals(tokens.split(".").length, parts.length);
    assertEquals(tokensToKey(tokens), key);
  }));
});

Deno.test("keyToTokens() refuses what would change the shape of a subject", () => {
  for (const key of ["", "a//b", "a/*", "a/>", "a b", "a_b", "a/b/"]) {
    assertThrows(() => keyToTokens(key), TypeError);
  }
});

Deno.test("subjects lead back to what they were made from", () => {
  assertEquals(snapshotSubject("gateway/ns/a.b", "delta"), "lgw.v1.snapshot.gateway.ns.a_b.delta");
  assertEquals(scopeOfSubject(snapshotSubject("gateway/ns/a.b", "delta")), "gateway/ns/a.b");
  assertEquals(valueOfSubject(valueSubject("endpoints", "ns/app.lightbackend/0")), {
    kind: "endpoints",
    key: "ns/app.lightbackend/0",
  });
  for (const kind of ["bind", "secret", "frontend"] as const) {
    assertEquals(valueOfSubject(valueSubject(kind, "ns/app")), { kind, key: "ns/app" });
  }
  assertEquals(valueOfSubject("lgw.v1.epoch"), undefined);
  assertEquals(scopeOfSubject("lgw.v1.epoch"), undefined);
  assertEquals(proxyOfSubject(proxySubject("default", "p.1"), "default"), "p.1");
});

Deno.test("permissionsFor() lets a proxy write its heartbeats alone and a reader see no secrets", () => {
  const proxy = permissionsFor({ role: "proxy", user: "p", fleet: "default" }).publish.allow;
  assertEquals(proxy.filter((subject) => subject.startsWith("lgw.")), ["lgw.v1.proxy.default.*"]);
  // Every consumer names its filter.
  assert(proxy.every((s) => !s.includes("CONSUMER.CREATE") || /\.\*\.lgw\.v1\./.test(s)));
  const reader = permissionsFor({ role: "reader", user: "r" }).publish.allow;
  assert(reader.every((subject) => !subject.startsWith("lgw.") && !subject.includes("SECRET")));
});
