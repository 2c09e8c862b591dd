import { assert, assertEquals, assertThrows } from "@std/assert";
import { parse } from "@std/yaml";
import { FAIL, type Finding } from "../decode/decoder.ts";
import { KINDS } from "../kinds.ts";
import { CrdSet, crdVersions } from "./crd_set.ts";
import { type JsonSchema, schemaOf } from "./json_schema.ts";

const GATEWAY = "gateway.networking.k8s.io";
const CORE = ["Service", "EndpointSlice", "Secret", "Namespace", "ConfigMap"];

function admit(crds: CrdSet, value: unknown, kind: string) {
  const found: Finding[] = [];
  const stored = crds.admit(value, {
    group: GATEWAY,
    kind,
    version: "v1",
    at: { path: [], report: (finding) => found.push(finding) },
  });
  return {
    stored,
    found: found.map(({ path, message }) => `${path.join(".")}: ${message}`),
  };
}

/** A set with one made-up kind whose spec has this schema. */
function setOf(spec: JsonSchema): CrdSet {
  const schema: JsonSchema = { type: "object", properties: { spec }, required: ["spec"] };
  return new CrdSet([{ group: GATEWAY, kind: "Thing", version: "v1", schema }]);
}

Deno.test("CrdSet runs every rule of the definitions but the listed ones", () => {
  assertEquals(
    new CrdSet().skippedRules().map(({ kind, path, rule, reason }) =>
      `${kind} ${path}: ${rule}: ${reason}`
    ),
    [
      "GatewayClass .spec.controllerName: self == oldSelf: " +
      "a transition rule: a file has no earlier form to compare with",
    ],
  );
});

/** Messages of rules that no value can break: something else refuses it first. */
const UNREACHABLE = [
  "field is immutable",
  // The lists are maps by these keys.
  "Listener name must be unique within the Gateway",
  "Port for TLS configuration must be unique within the Gateway",
  // A pattern says the same.
  "Hostnames must be valid based on RFC-1123",
  "Wildcards on hostnames must be the first label, and the rest of hostname must be valid based on " +
  "RFC-1123",
  // An enum says the same.
  "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']",
];

function messagesOf(schema: JsonSchema): string[] {
  const { properties = {}, items, additionalProperties } = schema;
  const children = [...Object.values(properties), items, additionalProperties]
    .filter((child) => child !== undefined);
  const own = (schema["x-kubernetes-validations"] ?? []).map(({ message }) => message);
  return [...own, ...children.flatMap((child) => messagesOf(child))];
}

Deno.test("CrdSet shows every rule being broken in a golden case", () => {
  const folder = new URL("../../testdata/input/", import.meta.url);
  const problems = ["api-rules", "schema-rules", "filter-rules"].flatMap((name) => {
    const golden = Deno.readTextFileSync(new URL(`${name}/status.golden.yaml`, folder));
    return (parse(golden) as { problems: string[] }).problems;
  });
  const messages = new Set(crdVersions().flatMap(({ schema }) => messagesOf(schema)));
  const unseen = [...messages].filter((message) =>
    !problems.some((problem) => problem.includes(message))
  );
  assertEquals(unseen.sort(), UNREACHABLE.toSorted());
});

Deno.test("CrdSet has a definition of every version of every kind that is no core kind", () => {
  const crds = new CrdSet();
  for (const { kind, group, versions } of KINDS) {
    for (const version of versions) {
      const known = crds.node({ group, kind, version }) !== undefined;
      assertEquals(known, !CORE.includes(kind), `${group}/${version} ${kind}`);
    }
  }
});

Deno.test("crdVersions() of a kind have one schema", () => {
  const texts = new Map<string, Set<string>>();
  for (const { kind, schema } of crdVersions()) {
    const known = texts.get(kind) ?? new Set();
    texts.set(kind, known.add(JSON.stringify(schema)));
  }
  assertEquals([...texts].filter(([, { size }]) => size !== 1).map(([kind]) => kind), []);
});

Deno.test("crds/ holds the standard channel of bundle v1.7.0", () => {
  const folder = new URL("crds/", import.meta.url);
  const bundles = [...Deno.readDirSync(folder)].filter(({ name }) => name.startsWith(GATEWAY))
    .map(({ name }) => JSON.parse(Deno.readTextFileSync(new URL(name, folder))))
    .map(({ metadata: { annotations } }) => [
      annotations[`${GATEWAY}/bundle-version`],
      annotations[`${GATEWAY}/channel`],
    ]);
  assert(bundles.length > 0);
  assertEquals(bundles, bundles.map(() => ["v1.7.0", "standard"]));
});

Deno.test("CrdSet fills in nested defaults before it validates, as an API server does", () => {
  const { stored, found } = admit(new CrdSet(), {
    spec: { parentRefs: [{ name: "gw", namespace: null }], rules: [{ matches: [{}] }] },
    status: { parents: 3 },
  }, "HTTPRoute");
  assertEquals(found, []);
  assertEquals(stored, {
    spec: {
      parentRefs: [{ group: GATEWAY, kind: "Gateway", name: "gw" }],
      rules: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }] }],
    },
  });
});

Deno.test("CrdSet never changes the value that it is given, nor shares defaults", () => {
  const crds = new CrdSet();
  const value = { spec: { extra: 1 } };
  const first = admit(crds, value, "HTTPRoute").stored;
  assertEquals(value, { spec: { extra: 1 } });
  assertEquals(first, admit(crds, value, "HTTPRoute").stored);
  assertEquals(first === admit(crds, value, "HTTPRoute").stored, false);
});

Deno.test("CrdSet lets no rule crash it: one that is malformed is skipped and told", () => {
  const crds = setOf({
    type: "object",
    properties: { a: { type: "integer" } },
    "x-kubernetes-validations": [
      { rule: "self.a ==", message: "malformed" },
      { rule: "nothing.a == 1", message: "unknown name" },
      { rule: "isQuantity(self.a)", message: "unknown function" },
    ],
  });
  assertEquals(admit(crds, { spec: { a: 1 } }, "Thing").found, []);
  assertEquals(crds.skippedRules().map(({ path }) => path), [".spec", ".spec", ".spec"]);
});

Deno.test("CrdSet refuses a value over which a rule cannot be computed, as an API server does", () => {
  const crds = setOf({
    type: "object",
    properties: { a: { type: "integer" }, b: { type: "integer" } },
    "x-kubernetes-validations": [{ rule: "self.a < self.b", message: "a must be less than b" }],
  });
  const { stored, found } = admit(crds, { spec: { a: 1 } }, "Thing");
  assertEquals(stored, FAIL);
  assertEquals(found, ["spec: a must be less than b (here: a 1): No such key: b"]);
});

Deno.test("CrdSet runs no rule over a part that has an error already", () => {
  const crds = setOf({
    type: "object",
    properties: {
      list: {
        type: "array",
        maxItems: 2,
        items: { type: "integer" },
        "x-kubernetes-validations": [{ rule: "self.all(n, n > 0)", message: "must be above 0" }],
      },
      other: {
        type: "array",
        items: { type: "integer" },
        "x-kubernetes-validations": [{ rule: "self.all(n, n > 0)", message: "must be above 0" }],
      },
    },
  });
  const { found } = admit(crds, { spec: { list: [0, 0, 0], other: [1, 0, 2, -1] } }, "Thing");
  assertEquals(found, [
    "spec.list: has 3 entries, at most 2 fit",
    "spec.other.1: must be above 0",
    "spec.other.3: must be above 0",
  ]);
});

Deno.test("CrdSet counts lengths in code points", () => {
  const crds = setOf({ type: "string", minLength: 2, maxLength: 3 });
  assertEquals(admit(crds, { spec: "😀😀😀" }, "Thing").found, []);
  assertEquals(admit(crds, { spec: "😀" }, "Thing").found, [
    "spec: must have at least 2 characters",
  ]);
  assertEquals(admit(crds, { spec: "😀😀😀😀" }, "Thing").found, [
    "spec: is longer than 3 characters",
  ]);
});

Deno.test("CrdSet keeps members such as __proto__ as own members of maps", () => {
  const crds = setOf({ type: "object", additionalProperties: { type: "string" } });
  const { stored, found } = admit(
    crds,
    { spec: Object.fromEntries([["__proto__", "a"], ["constructor", "b"]]) },
    "Thing",
  );
  assertEquals(found, []);
  assertEquals(JSON.stringify(stored), '{"spec":{"__proto__":"a","constructor":"b"}}');
});

Deno.test("CrdSet keeps what a schema preserves, and takes an integer or a string where both may be", () => {
  const crds = setOf({
    type: "object",
    "x-kubernetes-preserve-unknown-fields": true,
    properties: { n: { "x-kubernetes-int-or-string": true } },
  });
  const spec = { n: "50%", other: { x: [1] } };
  assertEquals(admit(crds, { spec }, "Thing"), { stored: { spec }, found: [] });
  assertEquals(admit(crds, { spec: { n: true } }, "Thing").found, [
    "spec.n: must be an integer or a string, not the boolean true",
  ]);
});

Deno.test("schemaOf() refuses a keyword that is not enforced", () => {
  assertThrows(
    () => schemaOf({ type: "object", properties: { a: { uniqueItems: true } } }, "Thing"),
    TypeError,
    'Thing.properties.a: "uniqueItems" is not enforced',
  );
});
