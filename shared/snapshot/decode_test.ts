import { assertThrows } from "@std/assert";
import { decodeResource } from "./decode.ts";
import { RefusalError } from "./refusal.ts";

function routeWith(filter: unknown) {
  return {
    kind: "httproute",
    created: 0,
    listeners: ["http"],
    hostnames: [],
    rules: [{
      matches: [{ path: { type: "prefix", value: "/" } }],
      filters: [filter],
      backends: [],
    }],
  };
}

const decode = (filter: unknown) => decodeResource("httproute/ns/a", routeWith(filter), new Set());

Deno.test("decodeResource() refuses filters that would write more than they say", () => {
  const header = (name: string, value: string) => ({
    type: "responseHeaders",
    set: [{ name, value }],
  });
  decode(header("x-a", "plain\tvalue ~"));
  decode({ type: "rewrite", hostname: "a.example", path: { type: "full", value: "/a%20b" } });
  const bad = [
    header("x", "a\r\nset-cookie: b"),
    header("x", "a\0"),
    // The low bytes are CR and LF.
    header("x", "\u010d\u010a"),
    header("x y", "a"),
    { type: "rewrite", path: { type: "full", value: "/ HTTP/1.1\r\nx: y" } },
    { type: "redirect", status: 302, path: { type: "prefix", value: "/a b" } },
    { type: "redirect", status: 302, hostname: "a/b" },
    { type: "rewrite", hostname: "a\r\nx: y" },
  ];
  for (const filter of bad) assertThrows(() => decode(filter), RefusalError);
});
