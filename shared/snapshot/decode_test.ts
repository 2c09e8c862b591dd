import { assertEquals, assertThrows } from "@std/assert";
import { decodeResource } from "./decode.ts";
import { SNAPSHOT_FEATURES } from "./features.ts";
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

Deno.test("decodeResource() refuses mirrors, CORS and retries that are not what they should be", () => {
  const cors = {
    type: "cors",
    allowOrigins: ["*", "https://*", "http://*.a.example:8080"],
    allowCredentials: true,
    allowMethods: ["*"],
    allowHeaders: ["x-a"],
    exposeHeaders: [],
    maxAge: 5,
  };
  const mirror = { type: "mirror", cluster: "cluster/ns/a/80" };
  decode(cors);
  decode(mirror);
  decode({ ...mirror, share: { numerator: 0, denominator: 1 } });
  const bad = [
    { ...cors, allowOrigins: ["https://a.example\r\nx: y"] },
    { ...cors, allowOrigins: ["https://a*.example"] },
    { ...cors, allowOrigins: undefined },
    { ...cors, allowHeaders: ["x-a, x-b"] },
    { ...cors, exposeHeaders: ["x\r\ny: z"] },
    { ...cors, allowCredentials: "true" },
    { ...cors, maxAge: -1 },
    { type: "mirror" },
    { ...mirror, share: { numerator: 2, denominator: 1 } },
    { ...mirror, share: { numerator: 0, denominator: 0 } },
  ];
  for (const filter of bad) assertThrows(() => decode(filter), RefusalError);
  const withRetry = (retry: unknown) => {
    const route = routeWith(mirror);
    const rules = route.rules.map((rule) => ({ ...rule, retry }));
    return decodeResource("httproute/ns/a", { ...route, rules }, new Set());
  };
  withRetry({ attempts: 100, codes: [400, 599], backoff: 0 });
  for (
    const retry of [
      { attempts: 101, codes: [] },
      { attempts: 1 },
      { attempts: 1, codes: [200] },
      { attempts: 1, codes: [], backoff: 0.5 },
    ]
  ) assertThrows(() => withRetry(retry), RefusalError);
});

Deno.test("decodeResource() refuses TLS settings that could be taken for less than they say", () => {
  const cluster = (tls: unknown) =>
    decodeResource(
      "cluster/ns/a/443",
      { kind: "cluster", endpoints: "ns/a/443", protocol: "http1", tls },
      new Set(),
    );
  cluster({ serverName: "a.example.com" });
  cluster({
    serverName: "a.example.com",
    trust: ["ca/ns/a"],
    subjectAltNames: [{ type: "uri", value: "spiffe://a/b" }, { type: "dns", value: "*.a.b" }],
  });
  const bad = [
    null,
    {},
    { serverName: "" },
    { serverName: "a b" },
    // Nobody, or everybody?
    { serverName: "a", trust: [] },
    { serverName: "a", trust: "ca/ns/a" },
    { serverName: "a", subjectAltNames: [] },
    { serverName: "a", subjectAltNames: [{ type: "ip", value: "10.0.0.1" }] },
    { serverName: "a", subjectAltNames: [{ type: "dns", value: "" }] },
  ];
  for (const tls of bad) assertThrows(() => cluster(tls), RefusalError);

  const listener = (clientValidation: unknown) =>
    decodeResource("listener/ns/gw/a", {
      kind: "listener",
      name: "a",
      port: 443,
      protocol: "HTTPS",
      hostname: "",
      clientValidation,
    }, new Set());
  listener({ trust: ["ca/ns/a"], mode: "require" });
  for (
    const validation of [
      {},
      { trust: [], mode: "require" },
      { trust: ["ca/ns/a"] },
      { trust: ["ca/ns/a"], mode: "maybe" },
    ]
  ) assertThrows(() => listener(validation), RefusalError);

  const upstream = (fields: object) =>
    decodeResource("upstream/ns/gw", { kind: "upstream", ...fields }, new Set());
  upstream({ clientCertificate: "cert/ns/a" });
  upstream({ error: "RefNotPermitted" });
  assertThrows(() => upstream({ clientCertificate: "" }), RefusalError);
  assertThrows(() => upstream({ error: 1 }), RefusalError);
});

Deno.test("decodeResource() refuses what asks for a feature that the reader does not know", () => {
  const known = new Set<string>(SNAPSHOT_FEATURES);
  for (const feature of known) {
    const route = { ...routeWith({ type: "rewrite" }), requires: [feature] };
    decodeResource("httproute/ns/a", route, known);
    const others = new Set([...known].filter((name) => name !== feature));
    const error = assertThrows(() => decodeResource("httproute/ns/a", route, others), RefusalError);
    assertEquals(error.reason, "requires");
  }
});
