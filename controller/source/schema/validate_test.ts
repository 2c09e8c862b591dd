import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { FAIL, type Finding } from "../decode/decoder.ts";
import { kindRow } from "../kinds.ts";
import { CelRules } from "./cel.ts";
import { compileSchema, type SchemaNode } from "./compile.ts";
import { crdVersions } from "./crd_set.ts";
import type { JsonSchema } from "./json_schema.ts";
import { mutationsOf, valuesOf } from "./testing_values.ts";
import { validate } from "./validate.ts";

const RUNS = { numRuns: 60, seed: 17 };
const META = {
  ...{ namespace: "default", name: "a", uid: "", generation: 1, created: 0 },
  ...{ labels: {}, manager: "" },
};

/** A schema without its rules: random values satisfy the structure, hardly ever the rules. */
function structureOf(schema: JsonSchema): JsonSchema {
  const { "x-kubernetes-validations": _rules, ...rest } = schema;
  const { properties, items } = schema;
  return {
    ...rest,
    ...(items === undefined ? {} : { items: structureOf(items) }),
    ...(properties === undefined ? {} : {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, child]) => [name, structureOf(child)]),
      ),
    }),
  };
}

function run(value: unknown, node: SchemaNode) {
  const found: Finding[] = [];
  const at = { path: [], report: (finding: Finding) => void found.push(finding) };
  return { stored: validate(value, { node, at }), found };
}

const seen = new Set<string>();
for (const { group, kind, schema } of crdVersions()) {
  if (seen.has(kind)) continue;
  seen.add(kind);
  const structure = structureOf(schema);
  const node = compileSchema(structure, { rules: new CelRules(), skipped: () => {} });
  const values = valuesOf(structure);

  Deno.test(`validate() admits what the schema of ${kind} describes, once and for all`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const { stored, found } = run(value, node);
        assertEquals(found, []);
        assertEquals(run(stored, node), { stored, found: [] });
      }),
      RUNS,
    );
  });

  Deno.test(`validate() admits nothing of ${kind} that the decoder refuses`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const found: Finding[] = [];
        const at = { path: [], report: (finding: Finding) => void found.push(finding) };
        const { stored } = run(value, node);
        const decoded = kindRow(group, kind)?.decode(stored, { at, meta: META });
        assertEquals(found.filter(({ message }) => !message.includes("is an IP address")), []);
        assert(decoded !== undefined && decoded !== FAIL);
      }),
      RUNS,
    );
  });

  Deno.test(`validate() refuses every single broken limit of ${kind} at its path`, () => {
    fc.assert(
      fc.property(values, (value) => {
        for (const { what, path, make } of mutationsOf(value, structure)) {
          const place = `${what} at ${path.join(".")}`;
          const { stored, found } = run(make(value), node);
          assertEquals(stored, FAIL, `${place} passed`);
          const wanted = JSON.stringify(path);
          assert(
            found.some((entry) =>
              entry.severity === "error" && JSON.stringify(entry.path) === wanted
            ),
            `${place}: ${JSON.stringify(found)}`,
          );
        }
      }),
      { ...RUNS, numRuns: 30 },
    );
  });
}
