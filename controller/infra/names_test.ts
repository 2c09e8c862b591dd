import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { labelValue, serviceName, sliceName } from "./names.ts";

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 11 })
  .map((labels) => labels.join(".")).filter((text) => text.length <= 253);

Deno.test("serviceName() is `<gateway>-<class>` where that is a valid name", () => {
  assertEquals(serviceName("gw", "lgw"), "gw-lgw");
  assertEquals(serviceName("same-namespace", "lgw"), "same-namespace-lgw");
});

Deno.test("serviceName() keeps apart what a dash, a dot or the length would merge", () => {
  const longest = "x".repeat(253);
  const names = [
    serviceName("a", "b-c"),
    serviceName("a-b", "c"),
    serviceName("a.b", "c"),
    serviceName("1a", "c"),
    serviceName(longest, "lgw"),
    serviceName(`${"x".repeat(252)}y`, "lgw"),
    serviceName(longest, longest),
  ];
  assertEquals(new Set(names).size, names.length);
  assertEquals(serviceName(longest, "lgw"), `${"x".repeat(52)}-7ef6a08e60`);
});

Deno.test("serviceName() and sliceName() are valid and different for different Gateways", () => {
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(name, name, fc.constantFrom(80, 443, 65_535), (gateway, className, port) => {
      const service = serviceName(gateway, className);
      assert(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(service), service);
      const key = `${gateway}/${className}`;
      assertEquals(seen.get(service) ?? key, key);
      seen.set(service, key);
      const slice = sliceName(service, { port, protocol: "UDP", family: "IPv6", part: 9 });
      assert(slice.length <= 253 && slice.startsWith(service));
    }),
    { numRuns: 2000, seed: 5 },
  );
});

Deno.test("labelValue() is a valid label value, itself where the name fits", () => {
  fc.assert(
    fc.property(name, (text) => {
      const value = labelValue(text);
      assert(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(value), value);
      assertEquals(value === text, text.length <= 63);
    }),
    { numRuns: 500, seed: 5 },
  );
});
