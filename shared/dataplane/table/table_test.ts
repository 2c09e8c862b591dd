import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type {
  HttpMatch,
  HttpRouteResource,
  ListenerResource,
  Resource,
} from "../../snapshot/schema.ts";
import { compileTable } from "./compile.ts";
import { describeCandidate, explain } from "./explain.ts";
import { linearRoute } from "./linear.ts";
import { comparePrecedence } from "./precedence.ts";
import { TableError } from "./table_error.ts";
import type { Decision, PortTable, RouteRequest, RouteTable } from "./types.ts";

function listener(name: string, hostname = "", port = 80): [string, ListenerResource] {
  return [`listener/ns/gw/${name}`, { kind: "listener", name, port, protocol: "HTTP", hostname }];
}

interface RouteOptions {
  hostnames?: string[];
  listeners?: string[];
  created?: number;
}

function route(
  name: string,
  matches: HttpMatch[][],
  options: RouteOptions = {},
): [string, HttpRouteResource] {
  return [`httproute/ns/${name}`, {
    kind: "httproute",
    created: options.created ?? 0,
    listeners: options.listeners ?? ["http"],
    hostnames: options.hostnames ?? [],
    rules: matches.map((rule) => ({ matches: rule, filters: [], backends: [] })),
  }];
}

function table(...resources: [string, Resource][]): RouteTable {
  return compileTable({
    scope: "gateway/ns/gw",
    version: 1,
    digest: "",
    resources: new Map(resources),
  });
}

function port(...resources: [string, Resource][]): PortTable {
  return table(...resources).ports.get(80) as PortTable;
}

function request(parts: Partial<RouteRequest>): RouteRequest {
  return { method: "GET", host: "a.com", path: "/", query: "", headers: [], ...parts };
}

function name(decision: Decision): string {
  return decision.kind === "route" ? describeCandidate(decision.candidate) : decision.kind;
}

const prefix = (value: string): HttpMatch => ({ path: { type: "prefix", value } });
const exact = (value: string): HttpMatch => ({ path: { type: "exact", value } });

Deno.test("route() matches prefixes by whole path elements and ignores a trailing slash", () => {
  const p = port(listener("http"), route("r", [[prefix("/v2")], [prefix("/v2/deep")]]));
  assertEquals(name(p.route(request({ path: "/v2" }))), "ns/r rule 0 (prefix /v2)");
  assertEquals(name(p.route(request({ path: "/v2/" }))), "ns/r rule 0 (prefix /v2)");
  assertEquals(name(p.route(request({ path: "/v2//x" }))), "ns/r rule 0 (prefix /v2)");
  assertEquals(name(p.route(request({ path: "/v2/deep/er" }))), "ns/r rule 1 (prefix /v2/deep)");
  assertEquals(name(p.route(request({ path: "/v2example" }))), "no_route");
});

Deno.test("route() matches exact paths case-sensitively and without trailing slash", () => {
  const p = port(listener("http"), route("r", [[exact("/one")]]));
  assertEquals(name(p.route(request({ path: "/one" }))), "ns/r rule 0 (exact /one)");
  assertEquals(name(p.route(request({ path: "/one/" }))), "no_route");
  assertEquals(name(p.route(request({ path: "/One" }))), "no_route");
});

Deno.test("route() prefers exact, longer prefix, method, headers, query, age, name, order", () => {
  const p = port(
    listener("http"),
    route("b-old", [[prefix("/")], [prefix("/a")]], { created: 1 }),
    route("a-young", [[prefix("/a")], [exact("/a/b")]], { created: 2 }),
    route("c-old", [[{ ...prefix("/a"), method: "PUT" }], [{
      ...prefix("/a"),
      headers: [{ name: "x", value: "1" }],
    }], [{ ...prefix("/a"), query: [{ name: "q", value: "1" }] }]], { created: 3 }),
  );
  const at = (parts: Partial<RouteRequest>) => name(p.route(request(parts)));
  assertEquals(at({ path: "/a/b" }), "ns/a-young rule 1 (exact /a/b)");
  assertEquals(at({ path: "/a/c" }), "ns/b-old rule 1 (prefix /a)");
  assertEquals(
    at({ path: "/a", method: "PUT", headers: ["x", "1"] }),
    "ns/c-old rule 0 (prefix /a)",
  );
  assertEquals(
    at({ path: "/a", headers: ["x", "1"], query: "q=1" }),
    "ns/c-old rule 1 (prefix /a)",
  );
  assertEquals(at({ path: "/a", query: "z=2&q=1" }), "ns/c-old rule 2 (prefix /a)");
  assertEquals(at({ path: "/z" }), "ns/b-old rule 0 (prefix /)");
});

Deno.test("route() joins repeated headers and decodes query parameters", () => {
  const match: HttpMatch = {
    ...prefix("/"),
    headers: [{ name: "x", value: "1,2" }],
    query: [{ name: "q", value: "a b" }],
  };
  const p = port(listener("http"), route("r", [[match]]));
  const found = p.route(request({ headers: ["x", "1", "x", "2"], query: "q=a%20b&q=no" }));
  assertEquals(found.kind, "route");
  assertEquals(p.route(request({ headers: ["x", "1"], query: "q=a+b" })).kind, "no_route");
  assertEquals(p.route(request({ headers: ["x", "1,2"], query: "q=%zz" })).kind, "no_route");
});

Deno.test("route() matches hosts and paths of any length", () => {
  // Only what can be in the index is cut out of them: 32,000 labels would take a second else.
  const deep = port(
    listener("http"),
    route("wild", [[prefix("/a/b")]], { hostnames: ["*.example.com"] }),
  );
  const host = `${"a.".repeat(32_000)}example.com`;
  const path = `/a/b${"/".repeat(16_000)}`;
  for (let i = 0; i < 100; i++) {
    assertEquals(deep.route(request({ host, path })).kind, "route");
    assertEquals(deep.route(request({ host: `${host}.org`, path })).kind, "no_route");
  }
  const query = `${"x=1&".repeat(4_000)}y=2&y=3`;
  const asked = port(
    listener("http"),
    route("q", [[{ ...prefix("/"), query: [{ name: "y", value: "2" }] }]]),
  );
  assertEquals(asked.route(request({ query })).kind, "route");
});

Deno.test("route() never falls from a more specific listener to another's routes", () => {
  const p = port(
    listener("any"),
    listener("wild", "*.foo.com"),
    listener("exact", "abc.foo.com"),
    route("any", [[prefix("/")]], { listeners: ["any"] }),
    route("wild", [[prefix("/wild")]], { listeners: ["wild"] }),
    route("exact", [[prefix("/exact")]], { listeners: ["exact"] }),
  );
  assertEquals(p.route(request({ host: "abc.foo.com", path: "/wild" })).kind, "no_route");
  assertEquals(p.route(request({ host: "x.y.foo.com", path: "/wild" })).kind, "route");
  assertEquals(p.route(request({ host: "foo.com", path: "/" })).kind, "route");
});

Deno.test("route() ranks routes by the hostname as written and falls through to the next", () => {
  const p = port(
    listener("http", "abc.example.com"),
    route("wide", [[prefix("/long/path")]], { hostnames: ["*.example.com"], created: 1 }),
    route("narrow", [[prefix("/long")]], { hostnames: ["abc.example.com"], created: 2 }),
  );
  const at = (path: string) => name(p.route(request({ host: "abc.example.com", path })));
  assertEquals(at("/long/path"), "ns/narrow rule 0 (prefix /long)");
  const q = port(
    listener("http", "*.example.com"),
    route("wide", [[prefix("/other")]], { hostnames: ["*.com"] }),
    route("narrow", [[prefix("/long")]], { hostnames: ["abc.example.com"] }),
  );
  assertEquals(
    name(q.route(request({ host: "abc.example.com", path: "/other" }))),
    "ns/wide rule 0 (prefix /other)",
  );
});

Deno.test("compileTable() refuses a route that names a listener or cluster that is not there", () => {
  assertThrows(() => table(route("r", [[prefix("/")]])), TableError, "there is no listener http");
  const [id, resource] = route("r", [[prefix("/")]]);
  const rules = resource.rules.map((rule) => ({
    ...rule,
    backends: [{ weight: 1, cluster: "cluster/ns/x/80" }],
  }));
  assertThrows(
    () => table(listener("http"), [id, { ...resource, rules }]),
    TableError,
    "there is no cluster cluster/ns/x/80",
  );
});

Deno.test("explain() names the first predicate that failed for every other candidate", () => {
  const p = port(
    listener("http"),
    listener("other", "x.com"),
    route("r", [[prefix("/a")], [{ ...prefix("/a"), method: "PUT" }], [prefix("/")], [{
      ...prefix("/a"),
      headers: [{ name: "x", value: "1" }],
    }]]),
    route("other", [[prefix("/")]], { listeners: ["other"] }),
  );
  const explained = explain(p, request({ path: "/a/b" }));
  const verdicts = new Map(
    explained.candidates.map(({ candidate, verdict }) => [
      `${candidate.rule.routeName}.${candidate.rule.rule}`,
      verdict.kind === "mismatch" ? verdict.mismatch.predicate : verdict.kind,
    ]),
  );
  assertEquals(
    verdicts,
    new Map([
      ["other.0", "hostname"],
      ["r.1", "method"],
      ["r.3", "header"],
      ["r.0", "chosen"],
      ["r.2", "outranked"],
    ]),
  );
});

/* ---- properties ------------------------------------------------------------------------------- */

const hostname = fc.constantFrom("", "a.com", "*.com", "*.a.com", "b.a.com", "*.b.a.com", "c.org");
const host = fc.constantFrom(
  "a.com",
  "b.a.com",
  "c.b.a.com",
  "com",
  "c.org",
  "x.org",
  ".a.com",
  "",
);
const pathValue = fc.constantFrom("/", "/a", "/a/b", "/a/b/c", "/ab", "/b");
const requestPath = fc.constantFrom(
  "/",
  "/a",
  "/a/",
  "/a/b",
  "/a//b",
  "/a/b/c/d",
  "/ab",
  "/abc",
  "/b/a",
);
const pairs = fc.uniqueArray(
  fc.record({ name: fc.constantFrom("x", "y"), value: fc.constantFrom("1", "2") }),
  { selector: (pair) => pair.name, maxLength: 2 },
);
const match: fc.Arbitrary<HttpMatch> = fc.record({
  path: fc.record({ type: fc.constantFrom("exact" as const, "prefix" as const), value: pathValue }),
  method: fc.constantFrom("", "GET", "PUT"),
  headers: pairs,
  query: pairs,
}).map(({ method, ...rest }) => method === "" ? rest : { ...rest, method });

const resources = fc.record({
  listeners: fc.uniqueArray(hostname, { minLength: 1, maxLength: 4 }),
  routes: fc.array(
    fc.record({
      hostnames: fc.uniqueArray(hostname.filter((h) => h !== ""), { maxLength: 3 }),
      on: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 4 }),
      created: fc.nat(2),
      rules: fc.array(fc.array(match, { minLength: 1, maxLength: 3 }), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
    { maxLength: 5 },
  ),
}).map(({ listeners, routes }): [string, Resource][] => [
  ...listeners.map((hostname, i) => listener(`l${i}`, hostname)),
  ...routes.map(({ hostnames, on, created, rules }, i) =>
    route(`r${i}`, rules, {
      hostnames,
      created,
      listeners: [...new Set(on.map((n) => `l${n % listeners.length}`))],
    })
  ),
]);

const requests = fc.record({
  method: fc.constantFrom("GET", "PUT"),
  host,
  path: requestPath,
  query: fc.constantFrom("", "x=1", "y=2&x=1", "x=2&x=1"),
  headers: fc.constantFrom<string[]>([], ["x", "1"], ["y", "2", "x", "1"], ["x", "1", "x", "2"]),
});

Deno.test("route() agrees with its plain twin on every table and request", () => {
  fc.assert(
    fc.property(resources, fc.array(requests, { minLength: 1, maxLength: 20 }), (list, asked) => {
      const p = port(...list);
      for (const one of asked) assertEquals(name(p.route(one)), name(linearRoute(p, one)));
    }),
    { numRuns: 500 },
  );
});

Deno.test("route() does not depend on the order of the resources", () => {
  const shuffled = resources.chain((list) =>
    fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))
  );
  fc.assert(
    fc.property(shuffled, requests, ([list, other], asked) => {
      assertEquals(name(port(...list).route(asked)), name(port(...other).route(asked)));
    }),
    { numRuns: 300 },
  );
});

Deno.test("comparePrecedence() is a total order", () => {
  fc.assert(
    fc.property(resources, (list) => {
      const all = port(...list).candidates();
      for (const a of all) {
        for (const b of all) {
          assertEquals(Math.sign(comparePrecedence(a, b)), -Math.sign(comparePrecedence(b, a)) + 0);
          for (const c of all) {
            if (comparePrecedence(a, b) <= 0 && comparePrecedence(b, c) <= 0) {
              assert(comparePrecedence(a, c) <= 0);
            }
          }
        }
      }
    }),
    { numRuns: 30 },
  );
});

/** Edits: routes and listeners that come, go and change, one set after the other. */
const edits = fc.array(resources, { minLength: 2, maxLength: 5 });

Deno.test("compileTable() with the table before it and what changed gives the same table", () => {
  fc.assert(
    fc.property(edits, fc.array(requests, { minLength: 1, maxLength: 10 }), (states, asked) => {
      let previous: RouteTable | undefined;
      let before = new Map<string, Resource>();
      for (const state of states) {
        // Listeners stay in half of the steps, so that the cheap way is taken.
        const listeners = [...before].filter(([, { kind }]) => kind === "listener");
        const names = new Set(listeners.map(([, r]) => r.kind === "listener" ? r.name : ""));
        const kept = state.filter(([, r]) =>
          r.kind === "httproute" && r.listeners.every((l) => names.has(l))
        );
        const now = new Map(kept.length > 0 ? [...listeners, ...kept] : state);
        const ids = new Set([...before.keys(), ...now.keys()]);
        const changed = new Set([...ids].filter((id) => before.get(id) !== now.get(id)));
        const input = { scope: "gateway/ns/gw", version: 1, digest: "", resources: now };
        const full = compileTable(input);
        const next = compileTable({ ...input, changed }, previous);
        assertEquals([...next.ports.keys()].sort(), [...full.ports.keys()].sort());
        for (const [number, expected] of full.ports) {
          const got = next.ports.get(number) as PortTable;
          assertEquals(got.candidates(), expected.candidates());
          for (const one of asked) {
            assertEquals(name(got.route(one)), name(expected.route(one)));
            assertEquals(name(got.route(one)), name(linearRoute(got, one)));
          }
        }
        previous = next;
        before = now;
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("compileTable() recompiles unchanged routes whose cluster changed, or refuses when it is gone", () => {
  const [id, resource] = route("r", [[prefix("/")]]);
  const rules = resource.rules.map((rule) => ({
    ...rule,
    backends: [{ weight: 1, cluster: "cluster/ns/x/80" }],
  }));
  const cluster = (endpoints: string): [string, Resource] => [
    "cluster/ns/x/80",
    { kind: "cluster", endpoints, protocol: "http1" },
  ];
  const base = new Map<string, Resource>([listener("http"), [id, { ...resource, rules }]]);
  // A mirror refers to its cluster as a backend does.
  const filters = [{ type: "mirror" as const, cluster: "cluster/ns/x/80" }];
  const mirrored = resource.rules.map((rule) => ({ ...rule, filters }));
  const input = (resources: Map<string, Resource>) => ({
    scope: "gateway/ns/gw",
    version: 1,
    digest: "",
    resources,
  });
  const first = compileTable(input(new Map([...base, cluster("ns/x/80")])));
  const changed = new Set(["cluster/ns/x/80"]);
  const second = compileTable({ ...input(new Map([...base, cluster("ns/y/80")])), changed }, first);
  const decision = second.ports.get(80)?.route(request({}));
  assert(decision?.kind === "route");
  assertEquals(decision.candidate.rule.backends[0]?.endpoints, "ns/y/80");
  assertThrows(() => compileTable({ ...input(base), changed }, first), TableError, "no cluster");
  const copies = new Map<string, Resource>([...base, [id, { ...resource, rules: mirrored }]]);
  const third = compileTable(input(new Map([...copies, cluster("ns/x/80")])));
  const fourth = compileTable(
    { ...input(new Map([...copies, cluster("ns/y/80")])), changed },
    third,
  );
  const copied = fourth.ports.get(80)?.route(request({}));
  assert(copied?.kind === "route");
  assertEquals(copied.candidate.rule.mirrors[0]?.endpoints, "ns/y/80");
  assertThrows(() => compileTable({ ...input(copies), changed }, third), TableError, "no cluster");
});
