import { assert, assertEquals } from "@std/assert";
import type { BackendTls, Resource, UpstreamResource } from "../../snapshot/schema.ts";
import { compileTable } from "./compile.ts";
import type { RouteRequest, RouteTable, TableTls } from "./types.ts";

const ANY: RouteRequest = { method: "GET", host: "h", path: "/", query: "", headers: [] };

/** A listener, and a route that sends requests and copies of them to one cluster. */
const base: [string, Resource][] = [
  ["listener/ns/gw/http", {
    kind: "listener",
    name: "http",
    port: 80,
    protocol: "HTTP",
    hostname: "",
  }],
  ["httproute/ns/r", {
    kind: "httproute",
    created: 0,
    listeners: ["http"],
    hostnames: [],
    rules: [{
      matches: [{ path: { type: "prefix", value: "/" } }],
      filters: [{ type: "mirror", cluster: "cluster/ns/x/443" }],
      backends: [{ weight: 1, cluster: "cluster/ns/x/443" }],
    }],
  }],
];

Deno.test("compileTable() keeps up with what secures clusters, and names what it takes", () => {
  const cluster = (tls?: BackendTls): [string, Resource] => ["cluster/ns/x/443", {
    kind: "cluster",
    endpoints: "ns/x/443",
    protocol: "http1",
    ...(tls === undefined ? {} : { tls }),
  }];
  const upstream = (of: Omit<UpstreamResource, "kind">): [string, Resource] => [
    "upstream/ns/gw",
    { kind: "upstream", ...of },
  ];
  const tls: BackendTls = { serverName: "a.example.com", trust: ["ca/ns/a"] };
  const failing = upstream({ error: "No" });
  const steps: { put: [string, Resource][]; expect: unknown[] }[] = [
    { put: [cluster()], expect: ["", undefined, [], []] },
    { put: [cluster(tls)], expect: ["", "a.example.com ", ["ca/ns/a"], []] },
    {
      put: [cluster(tls), upstream({ clientCertificate: "cert/ns/c" })],
      expect: ["", "a.example.com cert/ns/c", ["ca/ns/a"], ["cert/ns/c"]],
    },
    // Fails closed: neither requests nor copies of them go out.
    { put: [cluster(tls), failing], expect: ["No", undefined, ["ca/ns/a"], []] },
    { put: [cluster(), failing], expect: ["", undefined, [], []] },
    { put: [cluster({ serverName: "b" })], expect: ["", "b ", [], []] },
  ];
  let previous: RouteTable | undefined;
  let before = new Map<string, Resource>();
  for (const { put, expect } of steps) {
    const resources = new Map([...base, ...put]);
    const changed = new Set(
      [...before.keys(), ...resources.keys()].filter((id) => before.get(id) !== resources.get(id)),
    );
    const input = { scope: "gateway/ns/gw", version: 1, digest: "", resources };
    for (const table of [compileTable(input), compileTable({ ...input, changed }, previous)]) {
      const decision = table.ports.get(80)?.route(ANY);
      assert(decision?.kind === "route");
      const [backend] = decision.candidate.rule.backends;
      const [mirror] = decision.candidate.rule.mirrors;
      const shown = (one: TableTls | null | undefined) =>
        one ? `${one.serverName} ${one.clientCertificate}` : undefined;
      assertEquals(
        [backend?.error, shown(backend?.tls), [...table.trust], [...table.slots]],
        expect,
      );
      assertEquals(shown(mirror?.tls), shown(backend?.tls));
      assertEquals(mirror?.endpoints, backend?.endpoints);
      previous = table;
    }
    before = resources;
  }
});
