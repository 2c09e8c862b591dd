import { assertEquals } from "@std/assert";
import type { HeaderModifier, RedirectFilter } from "../../../snapshot/schema.ts";
import { compileModifier, modifyHeaders } from "./header_modifier.ts";
import { type RedirectInput, redirectLocation } from "./redirect.ts";
import { rewriteRequest } from "./rewrite.ts";

function modified(headers: string[], modifier: HeaderModifier): string[] {
  const list = [...headers];
  modifyHeaders(list, compileModifier(modifier));
  return list;
}

Deno.test("modifyHeaders() sets, adds and removes without regard to case", () => {
  const headers = ["x-a", "1", "x-b", "2", "x-a", "3"];
  const one = (name: string, value: string) => [{ name, value }];
  assertEquals(modified(headers, { set: one("X-A", "n") }), ["x-a", "n", "x-b", "2"]);
  assertEquals(modified(headers, { set: one("X-C", "n") }), [...headers, "x-c", "n"]);
  assertEquals(modified(headers, { add: one("X-A", "n") }), ["x-a", "1,3,n", "x-b", "2"]);
  assertEquals(modified(headers, { add: one("X-C", "n") }), [...headers, "x-c", "n"]);
  assertEquals(modified(headers, { remove: ["X-a"] }), ["x-b", "2"]);
});

Deno.test("modifyHeaders() never joins Set-Cookie, never touches framing, never splits a line", () => {
  const add = [{ name: "Set-Cookie", value: "b" }];
  assertEquals(modified(["set-cookie", "a"], { add }), ["set-cookie", "a", "set-cookie", "b"]);
  const headers = ["content-length", "1"];
  assertEquals(modified(headers, { remove: ["Content-Length"] }), headers);
  assertEquals(modified(headers, { set: [{ name: "Host", value: "x" }] }), headers);
  assertEquals(modified([], { set: [{ name: "a", value: "b\r\nc: d" }] }), ["a", "b c: d"]);
});

Deno.test("rewriteRequest() replaces prefixes as the specification's table says", () => {
  const table = [
    ["/foo/bar", "/foo", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo", "/xyz/", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz/", "/xyz/bar"],
    ["/foo", "/foo", "/xyz", "/xyz"],
    ["/foo/", "/foo", "/xyz", "/xyz/"],
    ["/foo/bar", "/foo", "", "/bar"],
    ["/foo/", "/foo", "", "/"],
    ["/foo", "/foo", "", "/"],
    ["/foo/", "/foo", "/", "/"],
    ["/foo", "/foo", "/", "/"],
    ["/a/b", "/", "/xyz", "/xyz/a/b"],
    ["/", "/", "/xyz", "/xyz/"],
    ["/foo%2Fbar/%zz", "/foo%2Fbar", "/x", "/x/%zz"],
  ] as const;
  for (const [path, prefix, value, expected] of table) {
    const rewritten = rewriteRequest({ type: "rewrite", path: { type: "prefix", value } }, {
      host: "h",
      path,
    }, { pathType: "prefix", path: prefix });
    assertEquals(rewritten, { host: "h", path: expected }, `${path} ${prefix} ${value}`);
  }
});

Deno.test("rewriteRequest() replaces the full path and the host", () => {
  const filter = {
    type: "rewrite" as const,
    hostname: "n",
    path: { type: "full" as const, value: "/one" },
  };
  assertEquals(
    rewriteRequest(filter, { host: "h:80", path: "/a/b" }, { pathType: "exact", path: "/a/b" }),
    { host: "n", path: "/one" },
  );
});

Deno.test("redirectLocation() chooses scheme, port and path as the suite expects", () => {
  const input: RedirectInput = {
    scheme: "http",
    host: "h",
    port: 80,
    path: "/a/b",
    query: "",
    match: { pathType: "prefix", path: "/a" },
  };
  const table: [Partial<RedirectFilter>, Partial<RedirectInput>, string][] = [
    [{}, {}, "http://h/a/b"],
    [{}, { port: 8080 }, "http://h:8080/a/b"],
    [{}, { scheme: "https", port: 443 }, "https://h/a/b"],
    [{}, { scheme: "https", port: 8443 }, "https://h:8443/a/b"],
    [{ scheme: "https" }, {}, "https://h/a/b"],
    [{ scheme: "https" }, { port: 8080 }, "https://h/a/b"],
    [{ scheme: "http" }, { scheme: "https", port: 443 }, "http://h/a/b"],
    [{ scheme: "https", port: 8443 }, {}, "https://h:8443/a/b"],
    [{ scheme: "https", port: 443 }, { port: 8080 }, "https://h/a/b"],
    [{ port: 80 }, { port: 8080 }, "http://h/a/b"],
    [{ port: 8083 }, {}, "http://h:8083/a/b"],
    [{ port: 443 }, {}, "http://h:443/a/b"],
    [{ hostname: "n" }, { port: 8080 }, "http://n:8080/a/b"],
    [{}, { query: "x=1" }, "http://h/a/b?x=1"],
    [{ path: { type: "full", value: "/n" } }, { query: "q" }, "http://h/n?q"],
    [{ path: { type: "prefix", value: "/n" } }, {}, "http://h/n/b"],
    [{ path: { type: "prefix", value: "/" } }, { path: "/a" }, "http://h/"],
  ];
  for (const [filter, change, expected] of table) {
    assertEquals(
      redirectLocation({ type: "redirect", status: 302, ...filter }, { ...input, ...change }),
      expected,
      JSON.stringify([filter, change]),
    );
  }
});
