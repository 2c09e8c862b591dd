import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { stringify } from "yaml";
import { fastDocuments } from "./fast_yaml.ts";
import { parseManifest, parseWithPositions } from "./manifest.ts";

const ROOT = new URL("../../../", import.meta.url);

function* manifests(at: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(at)) {
    if (isDirectory) yield* manifests(new URL(`${name}/`, at));
    else if (name.endsWith(".yaml")) yield new URL(name, at);
  }
}

/** The documents' values by the full parser. */
function slow(text: string): unknown[] | undefined {
  const { documents, errors } = parseWithPositions(text);
  return errors.length > 0 ? undefined : documents.map(({ value }) => value);
}

Deno.test("fastDocuments() reads every manifest of the samples and cases as the full parser does", () => {
  let plain = 0;
  for (const folder of ["deploy/samples/", "controller/testdata/"]) {
    for (const file of manifests(new URL(folder, ROOT))) {
      const text = Deno.readTextFileSync(file);
      const fast = fastDocuments(text);
      if (fast === undefined) continue;
      plain++;
      assertEquals(fast, slow(text), file.pathname);
    }
  }
  assert(plain > 100, `only ${plain} were plain`);
});

const scalar = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(
    "yes",
    "no",
    "on",
    "~",
    "null",
    "010",
    "0x10",
    "1e3",
    "1_000",
    ".5",
    "12:30",
    "2026-01-01",
    "*.example.com",
    "a: b",
    "- a",
    "#a",
    "a #b",
    "? a",
    "!a",
    "&a",
    "0.0",
    "-0",
    "+1",
    "<<",
    "=",
  ),
);
const value = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie("node"), { maxLength: 3 }),
    fc.dictionary(fc.string({ minLength: 1 }), tie("node"), { maxKeys: 3 }),
  ),
})).node;

Deno.test("fastDocuments() and the full parser read the same, in any style of writing", () => {
  let plain = 0;
  fc.assert(
    fc.property(
      fc.array(value.map((member) => ({ a: member })), { minLength: 1, maxLength: 3 }),
      fc.constantFrom("PLAIN", "QUOTE_DOUBLE", "QUOTE_SINGLE"),
      fc.boolean(),
      (values, defaultStringType, flow) => {
        const text = values.map((one) =>
          stringify(one, { defaultStringType, collectionStyle: flow ? "flow" : "block" })
        ).join("---\n");
        const fast = fastDocuments(text);
        if (fast === undefined) return;
        plain++;
        const known = slow(text);
        // What only the full parser refuses must not pass.
        assert(known !== undefined, text);
        assertEquals(fast, known, text);
      },
    ),
    { numRuns: 3000, seed: 5 },
  );
  assert(plain > 500, `only ${plain} were plain`);
});

Deno.test("fastDocuments() and the full parser read the same of what people type", () => {
  const piece = fc.constantFrom(
    "a:",
    " b",
    "\n",
    "  ",
    "- ",
    "'",
    '"',
    "[",
    "]",
    "{",
    "}",
    ",",
    ": ",
    "#",
    " #",
    "0",
    "1",
    ".5",
    "x",
    "---\n",
    "null",
    "true",
    "~",
    "e3",
    "-",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }).map((pieces) => `k: ${pieces.join("")}`),
      (text) => {
        const fast = fastDocuments(text);
        if (fast !== undefined) assertEquals(fast, slow(text), JSON.stringify(text));
      },
    ),
    { numRuns: 30_000, seed: 7 },
  );
});

Deno.test("parseManifest() knows the lines of plain manifests when somebody asks", () => {
  const text = "# c\n---\na: 1\n---\nb:\n  - c\n  - d: 2\n";
  const { documents } = parseManifest(text);
  assertEquals(documents.map(({ value }) => value), [{ a: 1 }, { b: ["c", { d: 2 }] }]);
  assertEquals(documents[1]?.locate(["b", 1, "d"]), { line: 7, column: 8 });
  assertEquals(documents[0]?.locate(["a"], true), { line: 3, column: 1 });
});
