import { assert, assertStringIncludes } from "@std/assert";
import { redactResources } from "./redact.ts";
import type { Resource } from "./schema.ts";

Deno.test("redactResources() hides credentials in filters of rules and of backends", () => {
  const filter = {
    type: "requestHeaders" as const,
    set: [{ name: "Authorization", value: "Bearer abc" }, { name: "x-team", value: "shop" }],
    add: [{ name: "cookie", value: "session=abc" }],
  };
  const route: Resource = {
    kind: "httproute",
    created: 0,
    listeners: ["http"],
    hostnames: [],
    rules: [{
      matches: [{ path: { type: "prefix", value: "/" } }],
      filters: [filter],
      backends: [{ weight: 1, error: "BackendNotFound", filters: [filter] }],
    }],
  };
  const text = JSON.stringify(redactResources(new Map([["httproute/ns/r", route]])));
  assert(!text.includes("abc"));
  assertStringIncludes(text, "[redacted]");
  assertStringIncludes(text, '"value":"shop"');
});
