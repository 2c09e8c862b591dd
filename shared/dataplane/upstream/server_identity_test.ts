import { assertEquals, assertThrows } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { testAuthority } from "../../secrets/testing_authority.ts";
import type { SubjectAltName } from "../../snapshot/schema.ts";
import { identityProblem } from "./server_identity.ts";
import { subjectAltNames } from "./subject_alt_names.ts";

const authority = await testAuthority();

async function der(options: { dns?: string[]; uris?: string[] }): Promise<Uint8Array> {
  return new X509Certificate((await authority.issue(options)).certificate).raw;
}

Deno.test("subjectAltNames() reads DNS names and URIs, and keeps them apart", async () => {
  const leaf = await der({ dns: ["A.example.com", "*.b.example.com"], uris: ["spiffe://x/Y"] });
  assertEquals(subjectAltNames(leaf), {
    dns: ["a.example.com", "*.b.example.com"],
    uri: ["spiffe://x/Y"],
  });
  assertEquals(subjectAltNames(await der({})), { dns: [], uri: [] });
});

Deno.test("subjectAltNames() takes no part of a URI for a name", async () => {
  const leaf = await der({ uris: ["http://a/, DNS:victim.example.com"] });
  assertEquals(subjectAltNames(leaf).dns, []);
  // What the platform says of the same certificate.
  assertEquals(
    new X509Certificate(leaf).subjectAltName?.includes("DNS:victim.example.com"),
    true,
  );
});

Deno.test("subjectAltNames() throws nothing but TypeError for bytes that are cut or changed", async () => {
  const leaf = await der({ dns: ["a.example.com"], uris: ["spiffe://x/y"] });
  for (let at = 0; at < leaf.length; at++) {
    assertThrows(() => subjectAltNames(leaf.subarray(0, at)), TypeError);
    const changed = leaf.slice();
    changed[at] = changed[at]! ^ 0x85;
    try {
      subjectAltNames(changed);
    } catch (error) {
      assertEquals(error instanceof TypeError, true);
    }
  }
});

Deno.test("identityProblem() wants the server name, or any one of the alternative names", async () => {
  const leaf = await der({
    dns: ["abc.example.com", "*.wild.example.com"],
    uris: ["spiffe://abc.example.com/test-identity"],
  });
  const proves = (serverName: string, names: SubjectAltName[] = []) =>
    identityProblem(leaf, { serverName, subjectAltNames: names }) === undefined;
  const dns = (value: string): SubjectAltName => ({ type: "dns", value });
  const uri = (value: string): SubjectAltName => ({ type: "uri", value });
  assertEquals(proves("abc.example.com"), true);
  assertEquals(proves("mismatch.example.com"), false);
  assertEquals(proves("x.wild.example.com"), true);
  assertEquals(proves("x.y.wild.example.com"), false, "a wildcard stands for one label");
  assertEquals(proves("wild.example.com"), false);
  assertEquals(proves("leaf"), false, "the common name proves nothing");
  // With alternative names the server name proves nothing.
  assertEquals(proves("abc.example.com", [dns("dce.example.com")]), false);
  assertEquals(proves("mismatch.example.com", [dns("abc.example.com")]), true);
  assertEquals(proves("abc.example.com", [uri("spiffe://abc.example.com/test-identity")]), true);
  assertEquals(proves("abc.example.com", [uri("spiffe://def.example.com/test-identity")]), false);
  assertEquals(proves("x", [uri("spiffe://no"), dns("abc.example.com")]), true);
  assertEquals(proves("x", [dns("*.example.com")]), true, "any name of one label more");
  assertEquals(proves("x", [dns("*.wild.example.com")]), true);
  assertEquals(proves("x", [dns("spiffe://abc.example.com/test-identity")]), false);
});
