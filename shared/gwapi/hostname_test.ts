import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { hostnameCovers, hostnamesIntersect, intersectHostnames } from "./hostname.ts";

const label = fc.constantFrom("a", "b", "c");
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const hostname = fc.oneof(host, host.map((name) => `*.${name}`), fc.constant(""));

Deno.test("hostnameCovers() takes wildcards of any depth, but never the bare domain", () => {
  assertEquals(hostnameCovers("*.a.b", "x.a.b"), true);
  assertEquals(hostnameCovers("*.a.b", "y.x.a.b"), true);
  assertEquals(hostnameCovers("*.a.b", "a.b"), false);
  assertEquals(hostnameCovers("*.a.b", "xa.b"), false);
  assertEquals(hostnameCovers("", "x"), true);
});

Deno.test("intersectHostnames() covers a host exactly when both hostnames do", () => {
  fc.assert(
    fc.property(hostname, hostname, host, (a, b, name) => {
      const common = intersectHostnames(a, b);
      const both = hostnameCovers(a, name) && hostnameCovers(b, name);
      assertEquals(common !== undefined && hostnameCovers(common, name), both, `${a} ${b} ${name}`);
    }),
    { numRuns: 2000, seed: 1 },
  );
});

Deno.test("intersectHostnames() does not depend on the order", () => {
  fc.assert(
    fc.property(hostname, hostname, (a, b) => {
      assertEquals(intersectHostnames(a, b), intersectHostnames(b, a));
      assertEquals(hostnamesIntersect(a, b), hostnamesIntersect(b, a));
    }),
    { numRuns: 2000, seed: 2 },
  );
});
